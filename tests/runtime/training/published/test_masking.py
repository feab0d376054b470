import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runtime.training.published.layout import NOT_LEARNED, Row
from runtime.training.published.masking import (
    MOST_PADDING,
    MaskingRule,
    apply_mask,
    draw_mask,
    mask_row,
    pad_tail,
)

END, MASK = 2, 9
LABELS = st.lists(st.sampled_from([NOT_LEARNED, END, 5, 6, 7]), min_size=1, max_size=40)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_padding_is_of_every_length_and_learned() -> None:
    lengths = {len(pad_tail(Row((5,), (5,)), END, random.Random(seed))) - 1 for seed in range(300)}
    assert lengths == set(range(1, MOST_PADDING + 1))
    padded = pad_tail(Row((5,), (NOT_LEARNED,)), END, random.Random(0))
    assert set(padded.token_ids[1:]) == set(padded.labels[1:]) == {END}


def test_a_row_that_ends_already_is_left_alone() -> None:
    row = Row((5, END, 6), (NOT_LEARNED, NOT_LEARNED, 6))
    assert pad_tail(row, END, random.Random(0)) is row


@pytest.mark.parametrize(
    ("label", "rule", "share"),
    [
        (5, MaskingRule(), 0.5005),
        (END, MaskingRule(), 0.3003),
        (END, MaskingRule(padding_ratio=0.1), 0.05005),
        (5, MaskingRule(share="sample"), 0.5005),
        (END, MaskingRule(share="sample"), 0.3003),
    ],
)
def test_shares_are_those_of_the_rule(label: int, rule: MaskingRule, share: float) -> None:
    masked = draw_mask(torch.full((3000, 40), label), END, rule, seeded())
    # One share a sample: the rows, not their positions, are what was drawn.
    error = 4 * 0.5 / (3000 if rule.share == "sample" else 120_000) ** 0.5
    assert float(masked.double().mean()) == pytest.approx(share, abs=error)


def test_a_share_for_each_position_is_about_half_of_every_row_and_one_a_sample_is_anything() -> None:
    labels = torch.full((400, 1000), 5)
    each = draw_mask(labels, END, MaskingRule(), seeded()).double().mean(1)
    whole = draw_mask(labels, END, MaskingRule(share="sample"), seeded()).double().mean(1)
    assert each.std() < 0.02
    assert whole.min() < 0.05
    assert whole.max() > 0.95


@given(LABELS, st.integers(0, 1000))
def test_what_is_masked_is_learned_and_nothing_else(labels: list[int], seed: int) -> None:
    row = Row(tuple(range(100, 100 + len(labels))), tuple(labels))
    shown = mask_row(row, END, MASK, MaskingRule(), seeded(seed))
    for given_id, label, shown_id, left in zip(row.token_ids, row.labels, shown.token_ids, shown.labels, strict=True):
        if shown_id == MASK:
            assert left == label != NOT_LEARNED
        else:
            assert (shown_id, left) == (given_id, NOT_LEARNED)


@given(LABELS, st.integers(0, 1000))
def test_the_same_seed_masks_the_same_positions(labels: list[int], seed: int) -> None:
    rows = torch.tensor([labels])
    again = draw_mask(rows, END, MaskingRule(), seeded(seed))
    assert torch.equal(draw_mask(rows, END, MaskingRule(), seeded(seed)), again)


@given(LABELS)
def test_a_lower_ratio_masks_no_more_of_the_padding_and_the_same_of_the_rest(labels: list[int]) -> None:
    rows = torch.tensor([labels])
    often, seldom = (draw_mask(rows, END, MaskingRule(ratio), seeded()) for ratio in (1.0, 0.2))
    assert not bool((seldom & ~often).any())
    assert torch.equal(often[rows != END], seldom[rows != END])


def test_without_a_generator_the_global_one_is_drawn_from() -> None:
    labels = torch.full((2, 30), 5)
    state = torch.get_rng_state()
    try:
        torch.manual_seed(3)
        drawn = draw_mask(labels, END, MaskingRule())
    finally:
        torch.set_rng_state(state)
    assert torch.equal(drawn, draw_mask(labels, END, MaskingRule(), seeded(3)))


def test_a_row_without_labels_draws_nothing_and_masks_nothing() -> None:
    nothing, something = torch.full((1, 8), NOT_LEARNED), torch.full((1, 8), 5)
    both = draw_mask(torch.cat([nothing, something]), END, MaskingRule(), seeded())
    assert not both[0].any()
    assert both[1].any()


def test_a_mask_between_answers_hides_nothing() -> None:
    token_ids, labels = torch.tensor([[5, 6, 7]]), torch.tensor([[5, NOT_LEARNED, 7]])
    shown, left = apply_mask(token_ids, labels, torch.tensor([[True, True, False]]), MASK)
    assert shown.tolist() == [[MASK, 6, 7]]
    assert left.tolist() == [[5, NOT_LEARNED, NOT_LEARNED]]


def test_the_share_is_part_of_the_rule() -> None:
    labels = torch.full((1, 200), 5)
    rule = MaskingRule()
    each, whole = (draw_mask(labels, END, replace(rule, share=share), seeded()) for share in ("position", "sample"))
    assert not torch.equal(each, whole)
