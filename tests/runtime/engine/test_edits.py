import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runtime.diffusion.canvas import Canvas, Slot
from runtime.engine.edits import Edit, EditError, apply

MASK = 30
TEXT = Slot("text", "text", 2, 4, (0, 10), stage=0, forbidden=(9,))
IMAGE = Slot("image", "image", 7, 4, (10, 20), stage=1)


def canvas() -> Canvas:
    tokens = torch.full((12,), MASK)
    tokens[:2] = torch.tensor([1, 2])
    tokens[3] = 5
    return Canvas(tokens, torch.arange(12.0), torch.full((12,), -1), (TEXT, IMAGE), MASK)


def test_what_is_set_stands_and_is_pinned() -> None:
    after = apply(canvas(), [Edit("set", "image", (0, 3), (11, 19))])
    assert after.tokens_of(IMAGE).tolist() == [11, MASK, MASK, 19]
    assert after.pinned.nonzero()[:, 0].tolist() == [7, 10]
    assert after.confidence[[7, 10]].tolist() == [1, 1]


def test_what_is_masked_is_open_again_even_if_it_was_pinned() -> None:
    pinned = apply(canvas(), [Edit("pin", "text", (1,))])
    assert pinned.tokens_of(TEXT).tolist() == [MASK, 5, MASK, MASK]
    opened = apply(pinned, [Edit("mask", "text", (1,))])
    assert opened.num_masked(TEXT) == 4
    assert not opened.pinned.any()
    assert opened.confidence[3] == 0


def test_the_canvas_before_is_untouched() -> None:
    before = canvas()
    apply(before, [Edit("set", "text", (0,), (1,)), Edit("mask", "text", (1,))])
    assert before.tokens_of(TEXT).tolist() == [MASK, 5, MASK, MASK]
    assert not before.pinned.any()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (Edit("mask", "speech", (0,)), "no slot 'speech' in this canvas; it has text, image; name one"),
        (Edit("mask", "text", (4,)), "position 4 came for slot 'text', which has positions 0 to 3"),
        (Edit("mask", "text", (-1,)), "position -1 came"),
        (Edit("mask", "text", ()), "names no position"),
        (Edit("mask", "text", (1, 1)), "names a position twice"),
        (Edit("pin", "text", (0,)), "position 0 of slot 'text' is still open"),
        (Edit("set", "text", (0, 1), (3,)), "1 tokens came for 2 positions"),
        (Edit("set", "text", (0,), (12,)), "token 12 cannot stand in slot 'text'; tokens 0 to 9 can, but for 9"),
        (Edit("set", "text", (0,), (9,)), "token 9 cannot stand"),
        (Edit("set", "image", (0,), (MASK,)), "token 30 cannot stand in slot 'image'"),
    ],
)
def test_what_cannot_be_done_is_said(edit: Edit, said: str) -> None:
    with pytest.raises(EditError, match=said):
        apply(canvas(), [Edit("set", "image", (2,), (11,)), edit])


@given(st.sets(st.integers(0, 3), min_size=1))
def test_masking_what_was_set_leaves_nothing_behind(places: set[int]) -> None:
    chosen = tuple(sorted(places))
    tokens = tuple(10 + place for place in chosen)
    after = apply(canvas(), [Edit("set", "image", chosen, tokens), Edit("mask", "image", chosen)])
    assert torch.equal(after.token_ids, canvas().token_ids)
    assert torch.equal(after.confidence, canvas().confidence)
    assert not after.pinned.any()
