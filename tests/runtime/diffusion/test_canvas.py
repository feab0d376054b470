import pytest
import torch

from runtime.diffusion.canvas import Canvas, Slot

MASK = 9


def canvas() -> Canvas:
    """Prompt 1 2, a text slot of three positions, a boundary, an image slot of two."""
    return Canvas(
        token_ids=torch.tensor([1, 2, MASK, MASK, MASK, 3, MASK, MASK]),
        positions=torch.arange(8.0),
        image_cells=torch.tensor([-1, -1, -1, -1, -1, -1, 0, 1]),
        slots=(Slot("text", "text", 2, 3, (0, 5), stage=1), Slot("image", "image", 6, 2, (5, 9), stage=0)),
        mask_id=MASK,
    )


def test_confidence_is_one_in_the_prompt_and_zero_where_masked() -> None:
    assert canvas().confidence.tolist() == [1, 1, 0, 0, 0, 1, 0, 0]


def test_the_slot_of_the_lowest_stage_is_filled_first() -> None:
    empty = canvas()
    image, text = empty.slot("image"), empty.slot("text")
    assert empty.active_slot == image
    drawn = empty.fill(torch.tensor([6, 7]), torch.tensor([5, 6]), torch.ones(2))
    assert drawn.active_slot == text
    assert drawn.fill(torch.tensor([2, 3, 4]), torch.zeros(3, dtype=torch.long), torch.ones(3)).active_slot is None


def test_filling_leaves_the_old_canvas_as_it_was() -> None:
    before = canvas()
    after = before.fill(torch.tensor([3]), torch.tensor([4]), torch.tensor([0.25]))
    assert before.num_masked(before.slot("text")) == 3
    assert after.tokens_of(after.slot("text")).tolist() == [MASK, 4, MASK]
    assert float(after.confidence[3]) == 0.25


def test_the_unmasked_ratio_counts_slots_only() -> None:
    assert canvas().unmasked_ratio == 0
    after = canvas().fill(torch.tensor([6]), torch.tensor([5]), torch.ones(1))
    assert after.unmasked_ratio == pytest.approx(1 / 5)


def test_an_unknown_slot_is_named_with_those_there_are() -> None:
    with pytest.raises(KeyError, match="no slot 'speech' in this canvas; it has text, image"):
        canvas().slot("speech")
