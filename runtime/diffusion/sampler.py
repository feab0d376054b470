"""Scores to candidate tokens. Everything is computed in float32, whatever the forward pass ran in.

Order: temperature, repeat penalty, position penalty, top-k and top-p, softmax, choice. How sure a row is, is asked
before top-k and top-p; `reference_sampler` does it behind them, as published.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from runtime.diffusion.nucleus import nucleus

PENALTY_FREE_RANKS = 100  # the first masked positions that the position penalty leaves alone
NUCLEUS_MARGIN = 0.01  # of probability: more than sums in the coarsest dtype are wrong by
SOFTMAX_SCORES = 2**18  # worked on at a time, about a megabyte: what stays in the processor's cache


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
    """tokens: (rows,) int64, columns of the scores.

    probabilities: (rows, vocab) float32, penalised. Those that top-k and top-p would close are among them: how sure the
    model is does not depend on how many of its doubts are left out of the draw.
    """

    tokens: Tensor
    probabilities: Tensor


def forbid(scores: Tensor, columns: Iterable[int]) -> Tensor:
    """Make these columns impossible; those that are none of `scores` are passed over."""
    inside = [column for column in columns if 0 <= column < scores.shape[-1]]
    if not inside:
        return scores
    scores = scores.clone()
    scores[:, inside] = -torch.inf
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
    scores = penalise_late_ranks(penalise_repeats(scores, used, rule.repeat_penalty), rule.position_penalty)
    probabilities = scores.softmax(-1)
    if draws is None or rule.temperature <= 0:
        return Candidates(probabilities.argmax(-1), probabilities)
    kept = keep_best(scores, rule.top_k, rule.top_p)
    return Candidates(draw(probabilities if kept is scores else kept.softmax(-1), draws), probabilities)


def keep_best(scores: Tensor, top_k: int = 0, top_p: float = 1.0) -> Tensor:
    """Close all columns that `shortlist` leaves out. Without top_k nothing is sorted for it."""
    if not 0 < top_k < scores.shape[-1] and top_p < 1:
        return scores.masked_fill(~nucleus(scores, top_p), -torch.inf)
    kept = shortlist(scores, top_k, top_p)
    if kept.scores is scores:
        return scores
    return torch.full_like(scores, -torch.inf).scatter(-1, kept.columns, kept.scores)


@dataclass(frozen=True)
class Shortlist:
    """What is left of each row: (rows, width) both.

    columns: int64, ascending. scores: in the dtype they came in, -inf where a row keeps fewer than `width`.
    """

    columns: Tensor
    scores: Tensor


def shortlist(scores: Tensor, top_k: int = 0, top_p: float = 1.0) -> Shortlist:
    """The `top_k` best columns that also lie in the nucleus of mass `top_p`; 0 and 1 are off.

    The column that crosses the mass stays in, and so do those that equal the last of the top_k. The nucleus takes equal
    ones by column. Only contenders are sorted, for the sums to be those of a sorted row to the last bit: those for the
    top_k, or those for the nucleus where they are few.
    """
    vocab = scores.shape[-1]
    count = min(top_k, vocab) if top_k > 0 else vocab
    if count == vocab and top_p >= 1:
        return Shortlist(torch.arange(vocab, device=scores.device).expand_as(scores), scores)
    columns = contenders(scores, count if count < vocab else nucleus_width(scores, top_p))
    count = min(count, columns.shape[-1])
    found, order = scores.gather(-1, columns).sort(dim=-1, descending=True, stable=True)
    kept = found >= found[:, count - 1 : count]
    if top_p < 1:
        mass = probabilities_at(scores, columns.gather(-1, order)).cumsum(-1)
        kept[:, 1:] &= mass[:, :-1] <= top_p
    return Shortlist(columns, torch.empty_like(found).scatter(-1, order, found.masked_fill(~kept, -torch.inf)))


def nucleus_width(scores: Tensor, top_p: float) -> int:
    """So many best columns hold the nucleus of every row, whichever way its mass is rounded; all, where it is most."""
    vocab = scores.shape[-1]
    width = int(nucleus(scores, min(1.0, top_p + NUCLEUS_MARGIN)).sum(-1).max()) if len(scores) else vocab
    return width if width < vocab // 2 else vocab


def contenders(scores: Tensor, count: int) -> Tensor:
    """Columns of the `count` best of each row, of all that equal the last of them and of some more, ascending."""
    vocab = scores.shape[-1]
    width = count
    while width < vocab:  # coarse numbers have many equals: look on until the row's next best is a worse one
        width = min(2 * width, vocab)
        best, columns = scores.topk(width)
        if not bool((best[:, -1] == best[:, count - 1]).any()):
            return columns.sort(-1).values
    return torch.arange(vocab, device=scores.device).expand_as(scores)


def probabilities_at(scores: Tensor, columns: Tensor) -> Tensor:
    """The softmax of each row at `columns`, without keeping that of the whole rows."""
    at_once = max(1, SOFTMAX_SCORES // scores.shape[-1])
    chunks = zip(torch.split(scores, at_once), torch.split(columns, at_once), strict=True)
    return torch.cat([rows.softmax(-1).gather(-1, wanted) for rows, wanted in chunks])


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
    late = torch.arange(rows, dtype=torch.float64, device=scores.device) - PENALTY_FREE_RANKS
    factor = 1 + late.clamp(min=0) / (rows - PENALTY_FREE_RANKS) * (penalty - 1)
    return penalise(scores, factor[:, None].to(scores.dtype))


def draw(probabilities: Tensor, draws: Tensor) -> Tensor:
    """The column of each row in whose share of the cumulated probabilities its draw falls: (rows,) int64."""
    cumulated = probabilities.cumsum(-1)
    targets = draws[:, None] * cumulated[:, -1:]
    return torch.searchsorted(cumulated, targets, right=True)[:, 0].clamp(max=probabilities.shape[-1] - 1)
