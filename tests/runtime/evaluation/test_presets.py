import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from runtime.engine.recipe import EMBEDDED_RECIPES, SPEAKING_RECIPES
from runtime.engine.request import SpeechPart
from runtime.evaluation.presets import (
    RULES,
    CountingExecutor,
    Outcome,
    Rule,
    Trial,
    as_table,
    best_of,
    plot,
    read_outcomes,
    write_outcomes,
)
from runtime.executors.executor import ForwardItem
from runtime.training.world import Scene
from tests.support.speaking_model import speaking_model
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()
SLOW = Outcome("text_to_image", "one a step", {"steps": 100}, 0.8, 50, 100.0, 200.0, 100.0)
QUICK = replace(SLOW, rule="schedule", numbers={"steps": 8}, score=0.795, gflop=8.0)
WORSE = replace(QUICK, numbers={"steps": 4}, score=0.7, gflop=4.0)


def test_a_rule_is_put_into_its_slot_and_later_slots_are_left_out() -> None:
    recipe = Rule("schedule", {"steps": 3}).put_into(EMBEDDED_RECIPES["speech_to_image"], "image")
    assert [(slot.name, slot.steps) for slot in recipe.slots] == [("transcript", 4), ("image", 3)]


def test_every_rule_fits_its_recipe() -> None:
    slots = {
        "text_to_image": "image", "image_to_text": "text", "speech_to_text": "transcript", "text_to_speech": "speech"
    }  # fmt: skip
    assert slots.keys() == RULES.keys()
    for task, rules in RULES.items():
        for rule in rules:
            recipe = rule.put_into(SPEAKING_RECIPES[task], slots[task])
            assert 1 <= recipe.slots[-1].steps <= recipe.slots[-1].length
            if rule.name in ("one a step", "schedule"):
                assert recipe.slots[-1].commit == "schedule"


def test_the_cheapest_that_loses_hardly_anything_is_chosen() -> None:
    assert best_of([SLOW, QUICK, WORSE]) is QUICK
    assert best_of([SLOW, WORSE]) is SLOW


def test_operations_are_counted_and_do_not_change_the_scores() -> None:
    from runtime.engine.prompt import EncodedTurn, lay_out

    canvas = lay_out([EncodedTurn("user", ("a cat",))], MODEL.recipes["image_to_text"], MODEL.vocabulary, MODEL.text)
    (slot,) = canvas.slots
    items = [ForwardItem(canvas, torch.arange(slot.start, slot.start + 3), slot.vocabulary)] * 2
    executor = CountingExecutor(MODEL.backbone)
    first = executor.forward(items)
    once = executor.flop
    assert torch.equal(first[0], executor.forward(items)[1])
    assert executor.flop == 2 * once > 0
    assert executor.canvases == 4


def test_a_trial_asks_the_engine_and_scores_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    trial: Any = Trial.__new__(Trial)
    trial.model, trial.num = MODEL, 2
    trial.scenes = [Scene("single", ("cat",), "red"), Scene("single", ("dog",), "blue")]
    monkeypatch.setattr(Trial, "_score_pictures", lambda self, answers, scenes, slot: len(answers) / 4)
    outcome = trial.outcome("text_to_image", Rule("schedule", {"steps": 2, "guidance_scale": 0.0}))
    assert (outcome.score, outcome.num, outcome.passes, outcome.steps) == (0.5, 2, 2.0, 2.0)
    assert outcome.gflop > 0


def test_the_chosen_rule_stands_out(tmp_path: Path) -> None:
    table = as_table({"text_to_image": [SLOW, QUICK, WORSE]})
    assert "| **schedule** | steps 8 | 79.5% |" in table
    assert "| one a step | steps 100 | 80.0% |" in table
    plot({"text_to_image": [SLOW, QUICK, WORSE]}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert json.dumps(table)


class HearsDogs:
    name = "hears dogs"

    def write_down(self, speech: SpeechPart) -> str:
        assert len(speech.pcm) > 0.5 * speech.sample_rate_hz
        return "a dog on a blue background"


def test_what_is_said_is_scored_by_who_hears_it() -> None:
    trial: Any = Trial.__new__(Trial)
    trial.model, trial.num, trial._recogniser = speaking_model(), 2, HearsDogs()
    trial.scenes = [Scene("single", ("dog",), "blue"), Scene("single", ("dog",), "red")]
    outcome = trial.outcome("text_to_speech", Rule("schedule", {"steps": 2}))
    assert outcome.score == pytest.approx(11 / 12)
    assert outcome.steps == 2


def test_what_was_measured_before_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "presets.json"
    assert read_outcomes(path).of("text_to_image", Rule("schedule", {"steps": 8}), 50) is None
    write_outcomes({"text_to_image": [SLOW, QUICK]}, path)
    kept = read_outcomes(path)
    assert kept.of("text_to_image", Rule("schedule", {"steps": 8}), 50) == QUICK
    assert kept.of("text_to_image", Rule("schedule", {"steps": 8}), 60) is None
    assert kept.of("text_to_image", Rule("schedule", {"steps": 4}), 50) is None
