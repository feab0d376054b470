import pytest
import torch
from torch import Tensor

from runtime.diffusion.canvas import Canvas
from runtime.engine.evidence import UNHEARD, Asking, Spelling, claimed
from runtime.engine.prompt import EncodedTurn
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.engine.rules import Claim
from tests.support.asking import MODEL, SHOWN, answered, drawing, laid

LETTERS = "\x00 abcdefghijklmnopqrstuvwxyz"
CLAIMS = (
    Claim(r"what is this\??", ("draw a {answer} on {what color is it?}", "paint {answer}")),
    Claim(r"what is (above|below) the (.+?)\??", ("draw a {answer} {1} a {2}",)),
)


def heard(text: str, sureness: float = 6.0) -> Tensor:
    """(2 rows a letter, letters): each letter, then nothing."""
    scores = torch.zeros(2 * len(text), len(LETTERS))
    for i, letter in enumerate(text):
        scores[2 * i, LETTERS.index(letter)] = scores[2 * i + 1, 0] = sureness
    return scores.log_softmax(-1)


def gains(asking: Asking) -> list[float]:
    with pytest.raises(StopIteration) as end:
        next(asking)
    found: list[float] = end.value.value
    return found


def test_what_was_said_speaks_for_its_own_letters() -> None:
    right, near, far = gains(Spelling(heard("a bell"), LETTERS, 0.2).gains(["a bell", "a ball", "two dogs"]))
    assert right > near > far


def test_what_cannot_be_so_long_or_is_no_letter_is_only_unlikely() -> None:
    long, empty, strange = gains(Spelling(heard("ab"), LETTERS, 0.2).gains(["a lot more than that", "", "a7b!"]))
    assert long == UNHEARD
    assert UNHEARD < empty < strange
    assert strange == gains(Spelling(heard("ab"), LETTERS, 0.2).gains(["ab"]))[0]


@pytest.mark.parametrize(
    ("question", "requests"),
    [
        ("What is this?", ("draw a {answer} on {what color is it?}", "paint {answer}")),
        (" what is above the palm tree? ", ("draw a {answer} above a palm tree",)),
        ("what is above the {answer}", ("draw a {answer} above a answer",)),
        ("what is this, and why?", ()),
        ("", ()),
    ],
)
def test_a_question_becomes_requests_to_draw(question: str, requests: tuple[str, ...]) -> None:
    assert claimed(question, CLAIMS) == requests


def log_likelihood(canvas: Canvas) -> float:
    """Of the picture, with all of it open."""
    slot = canvas.slot("image")
    with torch.no_grad():
        embedded = MODEL.backbone.embed(canvas.token_ids[None], canvas.image_cells[None])
        hidden = MODEL.backbone.hidden(embedded, canvas.positions[None])[0, slot.start - 1 : slot.start + 99]
        first, stop = slot.vocabulary
        logs = (hidden @ MODEL.backbone.lm_head.weight[first:stop].T).log_softmax(-1)
    return float(logs.gather(-1, SHOWN.codes.flatten()[:, None]).sum())


def test_a_picture_speaks_for_what_would_have_it_drawn() -> None:
    found, passes = answered(drawing("draw a {answer}").gains(["cat", "dog"]))
    assert passes == [3]
    asked: list[tuple[str, ...]] = [(), ("draw a cat",), ("draw a dog",)]
    nothing, *told = [
        log_likelihood(laid([EncodedTurn("user", words)], EMBEDDED_RECIPES["text_to_image"])) for words in asked
    ]
    assert found == pytest.approx([one - nothing for one in told], rel=1e-3, abs=1e-2)


def test_of_several_requests_the_best_counts() -> None:
    each = [answered(drawing(request).gains(["cat", "dog"]))[0] for request in ("draw a {answer}", "{answer} it")]
    both, passes = answered(drawing("draw a {answer}", "{answer} it").gains(["cat", "dog"]))
    assert passes == [5]
    assert both == pytest.approx([max(found) for found in zip(*each, strict=True)], rel=1e-4, abs=1e-2)


def test_what_the_request_lacks_is_asked_first_and_once() -> None:
    asked = drawing("draw a {answer} on {what color?} and {what color?} or {how many?}")
    found, passes = answered(asked.gains(["cat", "dog"]))
    assert passes[0] == 2
    assert passes[-1] == 3
    assert len(found) == 2


def test_what_is_asked_besides_is_answered_as_explains_the_picture() -> None:
    told, _ = answered(drawing("draw {answer} {how many?}")._told("cat"))
    said = drawing("draw {answer} {how many?}")
    answers, _ = answered(said._answers(["how many?"]))
    assert told["how many?"] in answers[0]
    likely, _ = answered(
        said._log_likelihoods([[EncodedTurn("user", (f"draw cat {number}",))] for number in answers[0]])
    )
    assert told["how many?"] == answers[0][likely.index(max(likely))]
