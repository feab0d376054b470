import torch

from runtime.diffusion.canvas import Canvas, Choice, Slot
from runtime.diffusion.choice import choose

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
