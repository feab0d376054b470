from dataclasses import replace

import torch

from runtime.diffusion.canvas import Canvas, Choice, Slot
from runtime.diffusion.choice import choose, not_empty, unsure, untorn

MASK, END = 9, 8
CHOICES = (Choice("Red", (1, 2, END)), Choice("blue sky", (3, 4, 5)), Choice("rose", (1, 6, END)))


def canvas(tokens: tuple[int, ...] = (MASK, MASK, MASK)) -> Canvas:
    slot = Slot("colour", "text", 1, 3, (0, 9), 0, ends=(END,), choices=CHOICES)
    ids = torch.tensor([7, *tokens, 7])
    return Canvas(ids, torch.arange(5.0), torch.full((5,), -1), (slot,), MASK)


def scores(**likely: int) -> torch.Tensor:
    """(3, 9), the named rows sure of a token: a, b, c."""
    table = torch.zeros(3, 9)
    for row, name in enumerate("abc"):
        if name in likely:
            table[row, likely[name]] = 5.0
    return table


def said(canvas: Canvas) -> list[int]:
    return canvas.tokens_of(canvas.slots[0]).tolist()


def test_the_likeliest_is_put_whole() -> None:
    chosen = choose(canvas(), canvas().slots[0], scores(a=3, b=4, c=5))
    assert said(chosen) == [3, 4, 5]
    assert chosen.active_slot is None


def test_tokens_of_different_choices_are_never_mixed() -> None:
    start = canvas()
    chosen = choose(start, start.slots[0], scores(a=3, b=2, c=END))  # best by position: 3 2 END, which is no choice
    assert tuple(said(chosen)) in {choice.tokens for choice in CHOICES}


def test_a_short_choice_is_not_worth_more_for_its_length() -> None:
    start = canvas()
    assert said(choose(start, start.slots[0], scores(a=3, b=4, c=5))) == [3, 4, 5]
    assert said(choose(start, start.slots[0], scores(a=1, b=2, c=END))) == [1, 2, END]


def test_what_stands_there_is_kept() -> None:
    start = canvas((MASK, 6, MASK))
    chosen = choose(start, start.slots[0], scores(a=3, c=5)[[0, 2]])
    assert said(chosen) == [1, 6, END]


def test_the_confidence_is_a_share() -> None:
    start = canvas()
    sure = choose(start, start.slots[0], scores(a=3, b=4, c=5)).confidence[1:4]
    unsure = choose(start, start.slots[0], torch.zeros(3, 9)).confidence[1:4]
    assert (unsure < sure).all()
    assert torch.allclose(unsure, torch.full((3,), 1 / 3))


DOUBT = Choice("who knows", (6, 7, END))


def doubting(tokens: tuple[int, ...] = (MASK, MASK, MASK)) -> tuple[Canvas, Slot]:
    start = canvas(tokens)
    slot = replace(start.slots[0], choices=(), unsure=DOUBT)
    return replace(start, slots=(slot,)), slot


def test_an_answer_that_is_hardly_likelier_is_not_given() -> None:
    start, slot = doubting()
    told = unsure(start, slot, torch.zeros(3, 9), margin=0.1)  # anything is as likely as anything
    assert told is not None
    assert said(told) == [6, 7, END]
    assert told.active_slot is None
    assert torch.allclose(told.confidence[1:4], torch.full((3,), 1 / 9))


def test_an_answer_that_is_likelier_by_the_margin_is_given() -> None:
    start, slot = doubting()
    assert unsure(start, slot, scores(a=1, b=END), margin=0.1) is None
    assert unsure(start, slot, scores(a=1, b=END), margin=9.0) is not None


def test_an_answer_that_is_begun_is_not_doubted_nor_one_of_a_slot_that_never_doubts() -> None:
    begun, slot = doubting((MASK, 6, MASK))
    assert unsure(begun, slot, torch.zeros(2, 9), margin=0.1) is None
    start = canvas()
    assert unsure(start, start.slots[0], torch.zeros(3, 9), margin=0.1) is None


TORN = Choice("i do not", (5, 6, 7))  # longer than the answer, which ends where it goes on


def torn(end: float) -> tuple[Canvas, Slot, torch.Tensor]:
    """An answer 1 END beside the refusal, whose last two tokens are each a little likelier than an end."""
    start, slot = doubting()
    slot = replace(slot, unsure=TORN)
    table = scores(a=1, b=6, c=7)
    table[1, END] = table[2, END] = end
    return replace(start, slots=(slot,)), slot, table


def test_an_answer_does_not_go_on_as_a_refusal() -> None:
    start, slot, table = torn(end=4.5)
    assert table.argmax(-1).tolist() == [1, 6, 7]
    assert untorn(start, slot, table).argmax(-1).tolist() == [1, END, END]
    assert unsure(start, slot, table, margin=0.1) is None


def test_of_an_answer_and_a_refusal_the_better_one_is_said_whole() -> None:
    start, slot, table = torn(end=0.0)
    told = unsure(start, slot, table, margin=0.1)
    assert told is not None
    assert said(told) == [5, 6, 7]


def test_a_single_token_of_the_refusal_is_left_and_the_refusal_itself() -> None:
    start, slot, _ = torn(end=4.5)
    for table in (scores(a=1, b=6, c=END), scores(a=5, b=6, c=7)):
        assert torch.equal(untorn(start, slot, table), table)


def test_an_answer_that_may_be_a_refusal_is_not_empty() -> None:
    start, slot = doubting((MASK, END, END))
    likely = scores(a=END)[:1]
    likely[0, 3] = 1.0
    assert not_empty(start, slot, likely).argmax(-1).tolist() == [3]
    begun, slot = doubting((3, MASK, MASK))
    assert torch.equal(not_empty(begun, slot, scores(b=END)[1:]), scores(b=END)[1:])
    anything = canvas((MASK, END, END))
    assert torch.equal(not_empty(anything, anything.slots[0], likely), likely)
