import json
from dataclasses import replace
from pathlib import Path

from runtime.engine.recipe import SPEAKING_RECIPES
from runtime.evaluation.presets import RULES, as_table, best_of, plot, read_outcomes, write_outcomes
from runtime.evaluation.trials import Outcome, Rule, Trial
from tests.support.speaking_model import speaking_model

SLOW = Outcome("text_to_image", "one a step", {"steps": 100}, 0.8, 50, 100.0, 200.0, 100.0, 0.7, 0.9)
QUICK = replace(SLOW, rule="schedule", numbers={"steps": 8}, score=0.795, gflop=8.0, steps=8.0)
WORSE = replace(QUICK, numbers={"steps": 4}, score=0.7, gflop=4.0, steps=4.0)
SPOKEN = replace(SLOW, task="text_to_speech", wait_s=1.25, first_sound_s=0.5)


def test_every_task_is_tried_and_every_rule_fits_its_recipe() -> None:
    tasks = Trial(speaking_model()).tasks
    assert tasks.keys() == RULES.keys()
    for name, rules in RULES.items():
        for rule in rules:
            recipe = rule.put_into(SPEAKING_RECIPES[tasks[name].recipe], tasks[name].slot)
            assert 1 <= recipe.slots[-1].steps <= recipe.slots[-1].length
            if rule.name in ("one a step", "schedule"):
                assert recipe.slots[-1].commit == "schedule"


def test_the_cheapest_that_loses_hardly_anything_is_chosen() -> None:
    assert best_of([SLOW, QUICK, WORSE]) is QUICK
    assert best_of([SLOW, WORSE]) is SLOW


def test_the_chosen_rule_stands_out(tmp_path: Path) -> None:
    table = as_table({"text_to_image": [SLOW, QUICK, WORSE]})
    assert "| **schedule** | steps 8 | 79.5% | 70.0% – 90.0% | 50 |" in table
    assert "| one a step | steps 100 | 80.0% |" in table
    assert len({line.count("|") for line in table.splitlines()}) == 1


def test_waits_are_told_where_they_were_measured() -> None:
    assert as_table({"text_to_speech": [SPOKEN]}).endswith("| 1.25 s | 0.50 s |\n")
    assert as_table({"text_to_speech": [SLOW]}).endswith("|  |  |\n")


def test_every_task_has_its_curve(tmp_path: Path) -> None:
    plot({name: [SLOW, QUICK, WORSE] for name in RULES}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_what_was_measured_before_is_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "presets.json"
    assert read_outcomes(path).of("text_to_image", Rule("schedule", {"steps": 8}), 50) is None
    write_outcomes({"text_to_image": [SLOW, QUICK]}, path)
    kept = read_outcomes(path)
    assert kept.of("text_to_image", Rule("schedule", {"steps": 8}), 50) == QUICK
    assert kept.of("text_to_image", Rule("schedule", {"steps": 8}), 60) is None
    assert kept.of("text_to_image", Rule("schedule", {"steps": 4}), 50) is None
    assert json.loads(path.read_text()).keys() == {"text_to_image"}


def test_what_was_measured_of_other_tasks_stays(tmp_path: Path) -> None:
    path = tmp_path / "presets.json"
    write_outcomes({"text_to_image": [SLOW, QUICK], "text_to_speech": [SPOKEN]}, path)
    assert read_outcomes(path).of_others(["text_to_image"]) == {"text_to_speech": [SPOKEN]}
