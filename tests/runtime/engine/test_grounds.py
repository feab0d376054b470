"""What the embedded model's answers are held against: questions it can, and questions it cannot."""

from dataclasses import replace

import pytest

from runtime.engine.evidence import Drawing
from runtime.engine.grounds import Grounds
from runtime.engine.implication import Implication
from runtime.engine.prompt import EncodedImage, EncodedTurn, lay_out
from runtime.engine.search import Search
from tests.support.asking import SHOWN
from tests.support.embedded import embedded


def search(question: str, recipe: str = "image_to_text", *shown: EncodedImage, **numbers: object) -> Search | None:
    model = embedded()
    chosen = model.recipes[recipe]
    turns = [EncodedTurn("user", (*shown, question))]
    canvas = lay_out(turns, chosen, model.vocabulary, model.text)
    grounds = Grounds(model, turns, chosen, lambda t, r: lay_out(t, r, model.vocabulary, model.text))
    return grounds.search(canvas, canvas.slots[0], replace(chosen.slots[0], **numbers), lambda seen: seen)


@pytest.mark.parametrize(
    ("question", "kind", "requests"),
    [
        ("what is this?", Drawing, ("draw a {answer} on a {what color is the background?} background",)),
        ("Is there a key?", Implication, ("draw {answer}",)),
    ],
)
def test_a_question_about_a_picture_is_held_against_it(question: str, kind: type, requests: tuple[str, ...]) -> None:
    found = search(question, "image_to_text", SHOWN)
    assert found is not None
    evidence = found._evidence
    assert type(evidence) is kind
    drawing = evidence.drawing if isinstance(evidence, Implication) else evidence
    assert isinstance(drawing, Drawing)
    assert (drawing.requests, drawing.weight) == (requests, 0.04)


def test_yes_and_no_follow_from_what_is_seen() -> None:
    found = search("is there a butterfly?", "image_to_text", SHOWN)
    assert found is not None
    assert isinstance(found._evidence, Implication)
    assert (found._evidence.by, found._evidence.width) == ("what do you see?", 32)
    assert set(found._evidence.answers) == {"yes", "no"}


def test_nothing_speaks_for_one_answer_or_the_other() -> None:
    assert search("how do you do?", "image_to_text", SHOWN) is None
    assert search("what is this?", "image_to_text") is None
    assert search("good morning", "text_to_text", SHOWN) is None


def test_one_answer_is_enough_where_it_is_guided_or_no_other_is_wanted() -> None:
    assert search("what is this?", "image_to_text", SHOWN, hypotheses=1) is None
    assert search("what is this?", "image_to_text", SHOWN, guidance_scale=1.0) is None
