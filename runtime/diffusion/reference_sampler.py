"""The sampler as published: all in the dtype of the scores, random numbers in the published order.

`sampler` is its sober twin, in float32 and with random numbers of each position's own. Filters and penalties are the
same functions.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from runtime.diffusion.confidence import ConfidenceRule, confidence
from runtime.diffusion.sampler import SamplerRule, Shortlist, penalise, penalise_late_ranks, shortlist

SUM_TOLERANCE = 1e-6  # how far from 1 torch.distributions lets probabilities add up


@dataclass(frozen=True)
class Choice:
    """tokens: (rows,) int64. confidence: (rows,), in the dtype of the scores."""

    tokens: Tensor
    confidence: Tensor


def choose(
    scores: Tensor, rule: SamplerRule, ranking: ConfidenceRule, used: Tensor, generator: torch.Generator | None = None
) -> Choice:
    """One candidate token for each row and how sure it is.

    scores: (rows, vocab), rows in the order of their positions. used: (n,) tokens the repeat penalty falls on.

    Kept from the published code: confidence is that of the filtered and penalised scores, so a row whose best token
    has a probability above top_p is as sure as can be, and many rows are equally sure.
    """
    if rule.temperature > 0:
        scores = scores / rule.temperature
    kept = shortlist(scores, rule.top_k, rule.top_p)
    left = penalise_late_ranks(penalise_used(kept, used, rule.repeat_penalty), rule.position_penalty)
    probabilities = left.softmax(-1)
    places = probabilities.argmax(-1)
    if rule.temperature > 0 and len(scores):
        places = draw_places(probabilities, kept.columns, scores.shape[-1], places, generator)
    return Choice(kept.columns.gather(-1, places[:, None])[:, 0], confidence(ranking, probabilities, places))


def penalise_used(kept: Shortlist, used: Tensor, penalty: float) -> Tensor:
    """The scores of the shortlist, those of `used` tokens made smaller."""
    if penalty == 1:
        return kept.scores
    return torch.where(torch.isin(kept.columns, used), penalise(kept.scores, penalty), kept.scores)


def draw_places(
    probabilities: Tensor, columns: Tensor, vocab: int, best: Tensor, generator: torch.Generator | None
) -> Tensor:
    """A place in the shortlist for each row, (rows,).

    The numbers drawn are those of a draw over the whole vocabulary, which is why it is filled up again here.

    Kept from the published code: when the probabilities of any one row, rounded as they are, do not add up to one, all
    rows take their best token. In bfloat16 that happens.
    """
    shares = probabilities / probabilities.sum(-1, keepdim=True)
    if not bool(((shares.sum(-1) - 1).abs() < SUM_TOLERANCE).all()):
        return best
    whole = shares.new_zeros(len(shares), vocab).scatter(-1, columns, shares)
    tokens = torch.multinomial(whole, 1, replacement=True, generator=generator)
    return (columns < tokens).sum(-1)
