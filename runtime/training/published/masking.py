"""What of an answer is hidden for the model to fill in.

Published: every position for itself, masked or not by two uniform numbers of its own, so about half of each answer.
The padding behind an answer is masked less often ("attenuated"), or the model would learn little else.
"""

import random
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from runtime.training.published.layout import NOT_LEARNED, Row

MOST_PADDING = 16
SMALLEST_SHARE = 1e-3


@dataclass(frozen=True)
class MaskingRule:
    """padding_ratio: how much less often the padding is masked.

    share: "position", each position by a share of its own, as published; "sample", one share a sample, so that
        answers are also seen all masked, which a model trained from nothing needs.
    """

    padding_ratio: float = 0.6
    share: Literal["position", "sample"] = "position"


def pad_tail(row: Row, end_of_text: int, rng: random.Random, most: int = MOST_PADDING) -> Row:
    """With 1 to `most` ends of text behind it, to be learned too: where an answer ends is part of it.

    A row in which one stands already is left alone.
    """
    if end_of_text in row.token_ids:
        return row
    tail = (end_of_text,) * rng.randint(1, most)
    return Row(row.token_ids + tail, row.labels + tail, row.speech)


def draw_mask(labels: Tensor, end_of_text: int, rule: MaskingRule, generator: torch.Generator | None = None) -> Tensor:
    """Which positions to mask: (batch, length) bool, for labels (batch, length).

    Numbers are drawn in the published order, from the global generator by default: one a row, used for the share of
    a sample and otherwise lost, then for each row two for each position between its first and last label.
    """
    shares = torch.rand(len(labels), generator=generator)
    masked = torch.zeros_like(labels, dtype=torch.bool)
    for row, share, out in zip(labels, shares, masked, strict=True):
        learned = (row != NOT_LEARNED).nonzero()[:, 0]
        if not len(learned):
            continue
        span = slice(int(learned[0]), int(learned[-1]) + 1)
        length = span.stop - span.start
        own = torch.rand(length, generator=generator)
        draws = torch.rand(length, generator=generator)
        chosen = own if rule.share == "position" else share.expand(length)
        threshold = (1 - SMALLEST_SHARE) * chosen + SMALLEST_SHARE
        threshold = torch.where(row[span] == end_of_text, threshold * rule.padding_ratio, threshold)
        out[span] = draws <= threshold
    return masked


def apply_mask(token_ids: Tensor, labels: Tensor, masked: Tensor, mask_id: int) -> tuple[Tensor, Tensor]:
    """Ids with the mask token where something to learn is masked, and labels left there alone."""
    hidden = masked & (labels != NOT_LEARNED)
    return token_ids.masked_fill(hidden, mask_id), labels.masked_fill(~hidden, NOT_LEARNED)


def mask_row(
    row: Row, end_of_text: int, mask_id: int, rule: MaskingRule, generator: torch.Generator | None = None
) -> Row:
    """A row as the model is shown it."""
    labels = torch.tensor([row.labels])
    masked = draw_mask(labels, end_of_text, rule, generator)
    token_ids, left = apply_mask(torch.tensor([row.token_ids]), labels, masked, mask_id)
    return Row(tuple(token_ids[0].tolist()), tuple(left[0].tolist()), row.speech)
