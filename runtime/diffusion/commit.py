"""Commit rules: which of the open positions a denoise step fills. Pure functions on a table, no canvas and no model.

Every rule fills at least what the schedule asks for, so a recipe's steps are always enough; the rules differ in what
they fill beyond it, which saves steps. The bounds are those of their papers: confidence threshold (Fast-dLLM,
arXiv 2505.22618), entropy bound (EB-Sampler, 2505.24857), early commit (Prophet, 2508.19982), longest stable prefix
(2603.04514); the prior of speech codes is that of Chatterbox-Flash (2605.30748), revising that of ReMDM (2503.00307).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from runtime.diffusion.confidence import confidence

CommitRule = Literal["schedule", "threshold", "entropy_bound", "certain_answer", "stable_prefix"]
COMMIT_RULES: tuple[CommitRule, ...] = get_args(CommitRule)

REVISED_UNTIL = 0.75  # share of a slot's steps after which nothing is opened again: there must be time to fill it


@dataclass(frozen=True)
class Open:
    """The open positions of a slot in order, as the rules see them.

    ranks: (n,) what orders them, the surest highest. probabilities: (n, vocab). tokens: (n,) candidates, columns.
    likeliest_before: (n,) the likeliest columns of the step before, None at the first.
    """

    ranks: Tensor
    probabilities: Tensor
    tokens: Tensor
    likeliest_before: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ranks)

    @property
    def certainty(self) -> Tensor:
        """(n,) the candidates' probabilities."""
        return self.probabilities.gather(-1, self.tokens[:, None])[:, 0]


def committed(rule: CommitRule, bound: float, positions: Open, count: int) -> Tensor:
    """Which of the open positions to fill now: indices (m,), `count` of them or more where the rule allows it."""
    return _RULES[rule](positions, count, bound)


def by_schedule(positions: Open, count: int, bound: float) -> Tensor:
    """The `count` surest."""
    return positions.ranks.topk(count).indices


def above_threshold(positions: Open, count: int, bound: float) -> Tensor:
    """All whose candidate has a probability of `bound` or more."""
    return _with_surest(positions, count, positions.certainty >= bound)


def within_entropy(positions: Open, count: int, bound: float) -> Tensor:
    """From the lowest entropy on, as long as what was filled before adds up to `bound` nats or less.

    The sum bounds how much the positions may tell of one another, which filling them together ignores.
    """
    entropies = -confidence("entropy", positions.probabilities, positions.tokens)
    ordered, order = entropies.sort(stable=True)
    chosen = torch.zeros(len(positions), dtype=torch.bool)
    chosen[order] = ordered.cumsum(0) - ordered <= bound
    return _with_surest(positions, count, chosen)


def when_certain(positions: Open, count: int, bound: float) -> Tensor:
    """Everything at once when every position prefers its best token to the second by `bound` of probability or more."""
    gaps = confidence("margin", positions.probabilities, positions.tokens)
    return torch.arange(len(positions)) if bool((gaps >= bound).all()) else by_schedule(positions, count, bound)


def stable_prefix(positions: Open, count: int, bound: float) -> Tensor:
    """From the left, for answers that are read or heard while they form: at least `count`, and on as long as the
    candidate is what the step before would have chosen, with a probability of `bound` or more."""
    settled = positions.certainty >= bound
    if positions.likeliest_before is not None:
        settled &= positions.tokens == positions.likeliest_before
    else:
        settled[:] = False  # nothing has been seen twice
    run = int(settled.long().cumprod(0).sum())
    return torch.arange(max(count, run))


_RULES: Mapping[CommitRule, Callable[[Open, int, float], Tensor]] = {
    "schedule": by_schedule,
    "threshold": above_threshold,
    "entropy_bound": within_entropy,
    "certain_answer": when_certain,
    "stable_prefix": stable_prefix,
}


def _with_surest(positions: Open, count: int, chosen: Tensor) -> Tensor:
    """Those chosen; the surest are added until there are `count`."""
    missing = count - int(chosen.sum())
    if missing > 0:
        others = positions.ranks.masked_fill(chosen, -torch.inf).topk(missing).indices
        chosen = chosen.clone()
        chosen[others] = True
    return chosen.nonzero()[:, 0]


def without_prior(probabilities: Tensor, weight: float) -> Tensor:
    """(n, vocab) probabilities with `weight` of their common part taken out, for ranking alone.

    Speech codes are long-tailed: the few frequent ones look sure everywhere and would all be filled first.
    """
    if not weight:
        return probabilities
    prior = probabilities.mean(0, keepdim=True)
    return ((probabilities + 1e-20).log() - weight * (prior + 1e-20).log()).softmax(-1)


def doubtful(confidence_when_filled: Tensor, fixed: Tensor, below: float) -> Tensor:
    """Positions to open again: indices of those filled with a confidence under `below`.

    confidence_when_filled: (length,), 0 where open. fixed: (length,) bool, what must stay: pinned, or revised before.
    """
    filled = confidence_when_filled > 0
    return (filled & ~fixed & (confidence_when_filled < below)).nonzero()[:, 0]
