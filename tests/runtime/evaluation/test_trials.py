from typing import Any

import numpy as np
import pytest
import torch

from runtime.engine.output import Finished
from runtime.engine.prompt import EncodedTurn, lay_out
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.engine.request import ImagePart, SpeechPart
from runtime.evaluation.figures import share
from runtime.evaluation.trials import CountingExecutor, Rule, Trial
from runtime.executors.executor import ForwardItem
from runtime.training.world import Scene
from tests.support.speaking_model import speaking_model
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()
SCENES = [Scene("single", ("dog",), "blue"), Scene("single", ("dog",), "red")]


def trial_of(model: Any, **others: Any) -> Trial:
    trial = Trial(model, num=len(SCENES), **others)
    trial.scenes = SCENES
    return trial


def test_a_rule_is_put_into_its_slot_and_later_slots_are_left_out() -> None:
    recipe = Rule("schedule", {"steps": 3}).put_into(EMBEDDED_RECIPES["speech_to_image"], "image")
    assert [(slot.name, slot.steps) for slot in recipe.slots] == [("transcript", 4), ("image", 3)]


def test_operations_are_counted_and_do_not_change_the_scores() -> None:
    canvas = lay_out([EncodedTurn("user", ("a cat",))], MODEL.recipes["image_to_text"], MODEL.vocabulary, MODEL.text)
    (slot,) = canvas.slots
    items = [ForwardItem(canvas, torch.arange(slot.start, slot.start + 3), slot.vocabulary)] * 2
    executor = CountingExecutor(MODEL.backbone)
    first = executor.forward(items)
    once = executor.flop
    assert torch.equal(first[0], executor.forward(items)[1])
    assert executor.flop == 2 * once > 0
    assert executor.canvases == 4


class Unready:
    def recognise(self, crops: list[Any]) -> list[str]:
        raise RuntimeError("no judge")


def test_what_the_judge_of_pictures_lacks_is_said_before_anything_is_drawn() -> None:
    trial: Any = trial_of(MODEL)
    trial.probe = Unready()
    trial.check(["image_to_text"])
    with pytest.raises(RuntimeError, match="no judge"):
        trial.check(["image_to_text", "infill_picture"])


def all_but_one_right(self: Trial, answers: list[Finished], scenes: list[Scene], slot: str) -> Any:
    return share("things", [False, *(True for _ in answers[1:])])


def test_a_trial_asks_the_engine_and_scores_its_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "_things_right", all_but_one_right)
    outcome = trial_of(MODEL).outcome("text_to_image", Rule("schedule", {"steps": 2, "guidance_scale": 0.0}))
    assert (outcome.score, outcome.num, outcome.passes, outcome.steps) == (0.5, 2, 2.0, 2.0)
    assert 0 < outcome.low < 0.5 < outcome.high < 1
    assert outcome.gflop > 0
    assert (outcome.wait_s, outcome.first_sound_s) == (None, None)


def test_answers_made_alone_cost_nothing_more_but_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "_things_right", all_but_one_right)
    rule = Rule("schedule", {"steps": 2})
    alone, together = (trial_of(MODEL).outcome("text_to_image", rule, alone=n) for n in (1, 0))
    assert (alone.gflop, alone.passes) == (together.gflop, together.passes)
    assert alone.wait_s is not None
    assert alone.wait_s > 0
    assert alone.first_sound_s is None


class HearsDogs:
    name = "hears dogs"

    def write_down(self, speech: SpeechPart) -> str:
        assert len(speech.pcm) > 0.5 * speech.sample_rate_hz
        return "a dog on a blue background"


def test_what_is_said_is_scored_by_who_hears_it() -> None:
    trial = trial_of(speaking_model(), recogniser=HearsDogs())
    outcome = trial.outcome("text_to_speech", Rule("schedule", {"steps": 2}), alone=1)
    assert outcome.score == pytest.approx(11 / 12)
    assert outcome.steps == 2
    assert outcome.first_sound_s is not None


def test_words_are_filled_in_and_pictures_completed_of_what_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trial, "_picture", lambda self, scene: ImagePart(np.zeros((80, 80, 3), np.uint8)))
    monkeypatch.setattr(Trial, "_things_right", all_but_one_right)
    trial = trial_of(MODEL)
    one = Rule("schedule", {"steps": 1, "commit": "schedule"})
    assert trial.outcome("infill_text", one).passes == 1
    assert trial.outcome("infill_picture", one).passes == 2
    asked = list(trial.tasks["infill_picture"].ask())
    assert [one.truth.layout for one in asked] == ["single"] * 2
    assert not any(one.truth.held_out for one in asked)
