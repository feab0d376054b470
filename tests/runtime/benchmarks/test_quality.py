from collections.abc import Mapping
from typing import Any

from runtime.benchmarks.quality import measure_quality
from runtime.evaluation.trials import Outcome, Rule

RULES: Mapping[str, tuple[Rule, ...]] = {
    "text_to_image": (Rule("one a step", {"steps": 100}),),
    "image_to_text": (Rule("one a step", {"steps": 16}),),
}
FOUND = {
    ("text_to_image", "one a step"): (0.8, 150.0),
    ("text_to_image", "preset"): (0.792, 15.0),
    ("image_to_text", "one a step"): (0.5, 8.0),
    ("image_to_text", "preset"): (0.6, 1.0),
}


class Told:
    """A trial whose outcomes are known."""

    def outcome(self, task: str, rule: Rule) -> Outcome:
        score, gflop = FOUND[task, rule.name]
        return Outcome(task, rule.name, rule.numbers, score, 100, gflop, 1.0, 1.0)


def test_the_worst_task_counts() -> None:
    trial: Any = Told()
    figures = measure_quality(trial, RULES)
    assert figures.ratio == 8.0
    assert round(figures.most_lost, 6) == 0.01
    assert [round(one.lost, 2) for one in figures.savings] == [0.01, -0.2]
