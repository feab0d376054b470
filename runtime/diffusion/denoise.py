"""One denoise step: the surest masked positions of a slot are filled. Pure: a canvas in, a new canvas out."""

import hashlib
from typing import Protocol

import torch
from torch import Tensor

from runtime.diffusion.canvas import Canvas, Slot
from runtime.diffusion.commit import CommitRule, Open, committed, without_prior
from runtime.diffusion.confidence import ConfidenceRule, confidence
from runtime.diffusion.mask_schedule import Schedule, num_to_unmask
from runtime.diffusion.sampler import SamplerRule, forbid, sample


class SlotRule(SamplerRule, Protocol):
    """The numbers by which a slot is filled; a slot recipe has them all and says what they mean."""

    @property
    def schedule(self) -> Schedule: ...
    @property
    def confidence(self) -> ConfidenceRule: ...
    @property
    def confidence_noise(self) -> float: ...
    @property
    def commit(self) -> CommitRule: ...
    @property
    def commit_bound(self) -> float: ...
    @property
    def prior_weight(self) -> float: ...


def step_generator(seed: int, step: int, slot: str) -> torch.Generator:
    """Random numbers of one step of one slot. They depend on nothing else, so not on who shares the batch."""
    digest = hashlib.blake2b(f"{seed}/{step}/{slot}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest) >> 1)


def masked_positions(canvas: Canvas, slot: Slot) -> Tensor:
    """Canvas positions of the slot that are open, ascending: (n,) int64."""
    return canvas.masked[slot.positions].nonzero()[:, 0] + slot.start


def denoise_step(
    canvas: Canvas,
    slot: Slot,
    scores: Tensor,
    rule: SlotRule,
    step: int,
    steps: int,
    generator: torch.Generator,
    guesses: Tensor | None = None,
) -> Canvas:
    """Fill the surest open positions of `slot`: as many as the schedule asks for, or more where the commit rule may.

    scores: (open positions, length of slot.vocabulary), rows in order of position. step: 0 … steps - 1 within the slot,
    all that is open is filled in the last; `steps` may be another number each time, the rest is spread over what is
    left. guesses: (slot.length,) the likeliest token ids of the step before. The mask token is never chosen.
    """
    open_positions = masked_positions(canvas, slot)
    if not len(open_positions):
        return canvas
    places = open_positions - slot.start
    # Numbers are drawn for the whole slot, so a position's luck does not depend on which others are still open.
    draws, noise = torch.rand(2, slot.length, generator=generator)
    candidates = sample(allowed(canvas, slot, scores), rule, used_columns(canvas, slot), draws[places])
    ranks = confidence(rule.confidence, without_prior(candidates.probabilities, rule.prior_weight), candidates.tokens)
    if rule.confidence_noise > 0:
        ranks = noisy(rule.confidence, ranks, noise[places], rule.confidence_noise * (1 - step / steps))
    count = num_to_unmask(rule.schedule, len(open_positions), step, steps)
    before = None if guesses is None else guesses[places] - slot.vocabulary[0]
    table = Open(ranks, candidates.probabilities, candidates.tokens, before)
    chosen = committed(rule.commit, rule.commit_bound, table, count)
    return fill(canvas, slot, open_positions[chosen], candidates.tokens[chosen], candidates.probabilities[chosen])


def commit_all(canvas: Canvas, slot: Slot, scores: Tensor, rule: SlotRule) -> Canvas:
    """Fill everything open in `slot` with its best token, without chance: the answer when there is no more time."""
    open_positions = masked_positions(canvas, slot)
    if not len(open_positions):
        return canvas
    candidates = sample(allowed(canvas, slot, scores), rule, used_columns(canvas, slot))
    return fill(canvas, slot, open_positions, candidates.tokens, candidates.probabilities)


def close(canvas: Canvas, slot: Slot, padding: int) -> Canvas:
    """Once an end stands and nothing before it is open, all is said: what is open behind it becomes `padding`."""
    open_positions = masked_positions(canvas, slot)
    said = canvas.said(slot)
    if len(said) == slot.length or not len(open_positions) or bool((said == canvas.mask_id).any()):
        return canvas
    return canvas.fill(open_positions, torch.full_like(open_positions, padding), torch.ones(len(open_positions)))


def allowed(canvas: Canvas, slot: Slot, scores: Tensor) -> Tensor:
    return forbid(scores, [token - slot.vocabulary[0] for token in (canvas.mask_id, *slot.forbidden)])


def used_columns(canvas: Canvas, slot: Slot) -> Tensor:
    """Columns of the slot's scores whose tokens stand in the slot already."""
    tokens = canvas.tokens_of(slot)
    first, stop = slot.vocabulary
    return tokens[(tokens != canvas.mask_id) & (tokens >= first) & (tokens < stop)] - first


def noisy(rule: ConfidenceRule, ranks: Tensor, uniform: Tensor, strength: float) -> Tensor:
    """Gumbel noise on the ranks, on the logarithm of what is a probability."""
    gumbel = -torch.log(-torch.log(uniform.clamp(1e-7, 1 - 1e-7)))
    certainty = ranks if rule == "entropy" else torch.log(ranks.clamp(min=1e-20))
    return certainty + strength * gumbel


def fill(canvas: Canvas, slot: Slot, positions: Tensor, columns: Tensor, probabilities: Tensor) -> Canvas:
    chosen = probabilities.gather(-1, columns[:, None])[:, 0]
    return canvas.fill(positions, columns + slot.vocabulary[0], chosen)
