from dataclasses import dataclass

import torch

from runtime.diffusion.canvas import Canvas, Slot
from runtime.diffusion.commit import CommitRule
from runtime.diffusion.confidence import ConfidenceRule
from runtime.diffusion.denoise import (
    close,
    commit_all,
    denoise_step,
    masked_positions,
    step_generator,
)
from runtime.diffusion.mask_schedule import Schedule

MASK, END = 20, 7
SLOT = Slot("text", "text", 3, 8, (0, 8), stage=0, ends=(END,))
WITH_MASK = Slot("free", "text", 3, 8, (10, 24), stage=0)  # a vocabulary the mask token lies in


@dataclass(frozen=True)
class Rule:
    steps: int = 4
    schedule: Schedule = "linear"
    confidence: ConfidenceRule = "probability"
    confidence_noise: float = 0.0
    prior_weight: float = 0.0
    commit: CommitRule = "schedule"
    commit_bound: float = 1.0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repeat_penalty: float = 1.0
    position_penalty: float = 1.0


def canvas(slot: Slot = SLOT) -> Canvas:
    tokens = torch.cat([torch.arange(3), torch.full((8,), MASK), torch.arange(2)])
    return Canvas(tokens, torch.arange(13.0), torch.full((13,), -1), (slot,), MASK)


def sure_of(tokens: list[int], certainties: list[float], vocab: int = 8) -> torch.Tensor:
    scores = torch.zeros(len(tokens), vocab)
    scores[torch.arange(len(tokens)), torch.tensor(tokens)] = torch.tensor(certainties, dtype=torch.float32)
    return scores


def run(seed: int, rule: Rule, scores: torch.Tensor) -> Canvas:
    """All steps with scores that stay the same, row by row of the slot."""
    current = canvas()
    for step in range(rule.steps):
        rows = masked_positions(current, SLOT) - SLOT.start
        current = denoise_step(
            current, SLOT, scores[rows], rule, step, rule.steps, step_generator(seed, step, SLOT.name)
        )
    return current


def test_the_surest_positions_are_filled_first_and_nothing_else_changes() -> None:
    before = canvas()
    scores = sure_of([5, 6, 5, 6, 5, 6, 5, 6], [1, 9, 2, 3, 8, 1, 1, 1])
    after = denoise_step(before, SLOT, scores, Rule(), 0, 3, step_generator(0, 0, "text"))
    assert masked_positions(after, SLOT).tolist() == [3, 5, 6, 8, 9, 10]
    assert after.token_ids[[4, 7]].tolist() == [6, 5]
    assert torch.equal(after.token_ids[:3], before.token_ids[:3])
    assert torch.equal(after.token_ids[11:], before.token_ids[11:])
    assert before.num_masked(SLOT) == 8


def test_what_was_filled_keeps_its_probability_as_confidence() -> None:
    scores = sure_of([1] * 8, [9, 0, 0, 0, 0, 0, 0, 0])
    after = denoise_step(canvas(), SLOT, scores, Rule(), 0, 8, step_generator(0, 0, "text"))
    assert torch.allclose(after.confidence[3], scores[0].softmax(-1)[1])
    assert after.confidence[4:11].count_nonzero() == 0


def test_tokens_are_those_of_the_slots_vocabulary() -> None:
    scores = sure_of([3] * 8, [5.0] * 8, vocab=14)
    after = commit_all(canvas(WITH_MASK), WITH_MASK, scores, Rule())
    assert after.tokens_of(WITH_MASK).tolist() == [13] * 8


def test_the_mask_token_is_never_chosen() -> None:
    mask_column = MASK - WITH_MASK.vocabulary[0]
    scores = sure_of([mask_column] * 8, [50.0] * 8, vocab=14)
    rule = Rule(steps=1, temperature=1.0)
    after = denoise_step(canvas(WITH_MASK), WITH_MASK, scores, rule, 0, rule.steps, step_generator(4, 0, "free"))
    assert after.num_masked(WITH_MASK) == 0
    assert commit_all(canvas(WITH_MASK), WITH_MASK, scores, rule).num_masked(WITH_MASK) == 0


def test_the_last_step_fills_all() -> None:
    after = denoise_step(canvas(), SLOT, torch.randn(8, 8), Rule(), 3, 4, step_generator(0, 3, "text"))
    assert after.active_slot is None


def test_a_full_slot_is_left_alone() -> None:
    full = commit_all(canvas(), SLOT, torch.randn(8, 8), Rule())
    empty_scores = torch.empty(0, 8)
    assert denoise_step(full, SLOT, empty_scores, Rule(), 0, 4, step_generator(0, 0, "text")) is full
    assert commit_all(full, SLOT, empty_scores, Rule()) is full


def test_the_same_seed_gives_the_same_tokens_and_another_seed_others() -> None:
    rule = Rule(temperature=1.0, confidence_noise=1.0)
    scores = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))
    first, again, other = run(1, rule, scores), run(1, rule, scores), run(2, rule, scores)
    assert torch.equal(first.token_ids, again.token_ids)
    assert not torch.equal(first.token_ids, other.token_ids)


def test_steps_and_slots_draw_different_numbers() -> None:
    keys = [(0, 0, "image"), (0, 1, "image"), (1, 0, "image"), (0, 0, "text"), (-1, 0, "image"), (2**70, 0, "image")]
    draws = {float(torch.rand(1, generator=step_generator(*key))) for key in keys}
    assert len(draws) == len(keys)


def test_noise_changes_the_order_at_first_and_not_the_tokens() -> None:
    scores = sure_of([5] * 8, [8, 7.9, 7.8, 7.7, 7.6, 7.5, 7.4, 7.3])
    orders = set()
    for seed in range(6):
        rule = Rule(steps=8, confidence_noise=4.0)
        after = denoise_step(canvas(), SLOT, scores, rule, 0, rule.steps, step_generator(seed, 0, "text"))
        filled = int((after.tokens_of(SLOT) != MASK).nonzero()[0, 0])
        assert int(after.tokens_of(SLOT)[filled]) == 5
        orders.add(filled)
    assert len(orders) > 1


def test_noise_fades_with_progress() -> None:
    """Late in the run a small lead decides, which noise of the first step would bury."""
    scores = sure_of([5] * 8, [2.0] * 7 + [4.0])
    rule = Rule(steps=1000, confidence_noise=4.0)
    for seed in range(20):
        after = denoise_step(canvas(), SLOT, scores, rule, 998, rule.steps, step_generator(seed, 998, "text"))
        assert int(after.tokens_of(SLOT)[7]) == 5


def test_noise_works_on_negative_entropy_too() -> None:
    rule = Rule(steps=3, confidence="entropy", confidence_noise=1.0)
    after = denoise_step(canvas(), SLOT, torch.randn(8, 8), rule, 0, rule.steps, step_generator(0, 0, "text"))
    assert after.num_masked(SLOT) == 6
    assert bool(after.confidence.isfinite().all())


def test_tokens_of_the_slot_are_penalised_when_repeats_are() -> None:
    half = canvas().fill(torch.tensor([3]), torch.tensor([5]), torch.ones(1))
    scores = sure_of([5] * 7, [3.0] * 7)
    scores[:, 6] = 2.9
    kept = commit_all(half, SLOT, scores, Rule()).tokens_of(SLOT)
    penalised = commit_all(half, SLOT, scores, Rule(repeat_penalty=1.2)).tokens_of(SLOT)
    assert kept.tolist() == [5] * 8
    assert penalised.tolist() == [5] + [6] * 7


def test_committing_takes_the_best_token_even_where_the_recipe_samples() -> None:
    scores = torch.randn(8, 8)
    after = commit_all(canvas(), SLOT, scores, Rule(temperature=5.0))
    assert torch.equal(after.tokens_of(SLOT), scores.argmax(-1))


def filled(tokens: list[int]) -> Canvas:
    positions = torch.tensor([SLOT.start + i for i, token in enumerate(tokens) if token != MASK])
    known = torch.tensor([token for token in tokens if token != MASK])
    return canvas().fill(positions, known, torch.full((len(known),), 0.5))


def test_text_is_closed_once_its_end_and_all_before_it_are_known() -> None:
    closed = close(filled([1, 2, END, MASK, MASK, 3, MASK, MASK]), SLOT, END)
    assert closed.tokens_of(SLOT).tolist() == [1, 2, END, END, END, 3, END, END]


def test_text_stays_open_while_something_before_its_end_is_open() -> None:
    open_text = filled([1, MASK, END, MASK, MASK, MASK, MASK, MASK])
    assert close(open_text, SLOT, END) is open_text
    endless = filled([1, 2, MASK, MASK, MASK, MASK, MASK, MASK])
    assert close(endless, SLOT, END) is endless


def test_steps_that_change_on_the_way_are_spread_over_what_is_left() -> None:
    left, current = [], canvas()
    for step, steps in enumerate((8, 8, 5, 5, 5)):
        rows = masked_positions(current, SLOT) - SLOT.start
        generator = step_generator(0, step, SLOT.name)
        current = denoise_step(current, SLOT, torch.zeros(len(rows), 7), Rule(), step, steps, generator)
        left.append(current.num_masked(SLOT))
    assert left == [7, 6, 5, 3, 0]
