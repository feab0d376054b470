"""Scores to candidate tokens. Everything is computed in float32, whatever the forward pass ran in.

Order, as published: temperature, top-p, top-k, repeat penalty, position penalty, softmax, choice.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

PENALTY_FREE_RANKS = 100  # the first masked positions that the position penalty leaves alone


class SamplerRule(Protocol):
    """The sampler's part of a slot recipe; what each number means is said there."""

    @property
    def temperature(self) -> float: ...
    @property
    def top_k(self) -> int: ...
    @property
    def top_p(self) -> float: ...
    @property
    def repeat_penalty(self) -> float: ...
    @property
    def position_penalty(self) -> float: ...


@dataclass(frozen=True)
class Candidates:
    """tokens: (rows,) int64, columns of the scores. probabilities: (rows, vocab) float32, filtered and penalised."""

    tokens: Tensor
    probabilities: Tensor


def forbid(scores: Tensor, token: int) -> Tensor:
    """Make column `token` impossible; no change when it is no column of `scores`."""
    if not 0 <= token < scores.shape[-1]:
        return scores
    scores = scores.clone()
    scores[:, token] = -torch.inf
    return scores


def sample(scores: Tensor, rule: SamplerRule, used: Tensor, draws: Tensor | None = None) -> Candidates:
    """One candidate token for each row.

    scores: (rows, vocab), rows in the order of their positions. used: (n,) columns the repeat penalty falls on.
    draws: (rows,) uniform numbers in [0, 1) that choose among the tokens when the temperature is above 0; without
        them, or at temperature 0, the best token is taken.
    """
    scores = scores.float()
    if rule.temperature > 0:
        scores = scores / rule.temperature
    scores = keep_best(scores, rule.top_k, rule.top_p)
    scores = penalise_repeats(scores, used, rule.repeat_penalty)
    scores = penalise_late_ranks(scores, rule.position_penalty)
    probabilities = scores.softmax(-1)
    if draws is None or rule.temperature <= 0:
        return Candidates(probabilities.argmax(-1), probabilities)
    return Candidates(draw(probabilities, draws), probabilities)


def keep_best(scores: Tensor, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Close all columns but the `top_k` best that also lie in the nucleus of mass `top_p`; 0 and 1 are off.

    The token that crosses the mass stays in. Only the top_k best need sorting: the mass is that of the whole row.
    """
    vocab = scores.shape[-1]
    count = min(top_k, vocab) if top_k > 0 else vocab
    if count == vocab and top_p >= 1:
        return scores
    if top_p >= 1:
        return scores.masked_fill(scores < scores.topk(count).values[:, -1:], -torch.inf)
    best = scores.topk(count).values
    mass = (best - scores.logsumexp(-1, keepdim=True)).exp().cumsum(-1)
    kept = torch.ones_like(mass, dtype=torch.bool)
    kept[:, 1:] = mass[:, :-1] <= top_p
    threshold = best.masked_fill(~kept, torch.inf).amin(-1, keepdim=True)
    return scores.masked_fill(scores < threshold, -torch.inf)


def penalise(scores: Tensor, factor: Tensor | float) -> Tensor:
    """Scores made smaller by a factor >= 1, whichever their sign."""
    return torch.where(scores < 0, scores * factor, scores / factor)


def penalise_repeats(scores: Tensor, used: Tensor, penalty: float) -> Tensor:
    """Lower the columns `used` (those of tokens that stand in the slot already), however often they stand there."""
    if penalty == 1 or not len(used):
        return scores
    columns = torch.unique(used)
    scores = scores.clone()
    scores[:, columns] = penalise(scores[:, columns], penalty)
    return scores


def penalise_late_ranks(scores: Tensor, penalty: float) -> Tensor:
    """Flatten the rows beyond the first hundred, the later the more, up to `penalty`: a long slot fills in order."""
    rows = len(scores)
    if penalty == 1 or rows <= PENALTY_FREE_RANKS:
        return scores
    late = torch.arange(rows, device=scores.device) - PENALTY_FREE_RANKS
    factor = 1 + late.clamp(min=0) / (rows - PENALTY_FREE_RANKS) * (penalty - 1)
    return penalise(scores, factor[:, None])


def draw(probabilities: Tensor, draws: Tensor) -> Tensor:
    """The column of each row in whose share of the cumulated probabilities its draw falls: (rows,) int64."""
    cumulated = probabilities.cumsum(-1)
    targets = draws[:, None] * cumulated[:, -1:]
    return torch.searchsorted(cumulated, targets, right=True)[:, 0].clamp(max=probabilities.shape[-1] - 1)
