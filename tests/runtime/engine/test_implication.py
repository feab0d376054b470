import re

import pytest

from runtime.codecs.vocabulary import END_OF_TEXT
from runtime.engine.implication import Implication, implied_answers
from runtime.engine.rules import Implied
from tests.support.asking import MODEL, answered, drawing

IMPLIED = (
    Implied("is there an? (.+?)s?", "what do you see", {"yes": r".*\b{1}s?\b.*", "no": r"(?!.*\b{1}s?\b).*"}),
    Implied("is it (red|blue), really", "what color is it", {"yes": "{1}"}),
)


def implication(**answers: str) -> Implication:
    return Implication("what is it?", answers, drawing("draw {answer}"), width=6, padding=MODEL.vocabulary[END_OF_TEXT])


@pytest.mark.parametrize(
    ("question", "follows"),
    [
        (" Is there a Cat", ("what do you see", {"yes": r".*\bcats?\b.*", "no": r"(?!.*\bcats?\b).*"})),
        ("is there an f.x", ("what do you see", {"yes": r".*\bf\.xs?\b.*", "no": r"(?!.*\bf\.xs?\b).*"})),
        ("is it red, really", ("what color is it", {"yes": "red"})),
        ("is it red", None),
        ("", None),
    ],
)
def test_a_question_is_answered_by_another(question: str, follows: object) -> None:
    assert implied_answers(question, IMPLIED) == follows


def test_an_answer_is_as_good_as_the_best_it_follows_from() -> None:
    told, _ = answered(implication(yes="x")._told())
    assert 1 < len(told) <= 6
    first, *others = sorted(told, key=lambda text: -told[text])
    yes = re.escape(others[-1])
    gains, _ = answered(implication(yes=yes, no=f"(?!{yes}$).*").gains(["yes", "no", "perhaps"]))
    between = told[first] - told[others[-1]]
    assert gains == pytest.approx([-between, between, -between], abs=1e-3)


def test_what_follows_from_nothing_that_was_found_is_as_good_as_the_least() -> None:
    told, _ = answered(implication(yes="x")._told())
    gains, _ = answered(implication(yes="never said so", no=".*").gains(["yes", "no"]))
    between = max(told.values()) - min(told.values())
    assert gains == pytest.approx([-between, between], abs=1e-3)


def test_the_other_question_is_answered_in_passes_that_a_step_can_share() -> None:
    gains, passes = answered(implication(yes=".*", no="").gains(["yes", "no"]))
    assert passes[0] == 1
    assert len(passes) > 2
    assert gains[0] >= 0 >= gains[1]
