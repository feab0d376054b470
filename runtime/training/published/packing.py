"""Rows one behind another up to a fixed length, each of them alone in what it attends to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from runtime.training.published.layout import NOT_LEARNED, Row, SpeechPlaces


@dataclass(frozen=True)
class Packed:
    """Rows as one batch of one.

    token_ids, labels, position_ids: (1, length); positions begin at 0 with each row, and go on behind the last.
    real: (1, length) bool, false in the padding. speech: with places in the packed row.
    """

    token_ids: Tensor
    labels: Tensor
    position_ids: Tensor
    real: Tensor
    speech: tuple[SpeechPlaces, ...] = ()

    def to(self, device: torch.device) -> "Packed":
        """On `device`, but for the speech, which follows when it is put in."""
        return replace(
            self,
            token_ids=self.token_ids.to(device),
            labels=self.labels.to(device),
            position_ids=self.position_ids.to(device),
            real=self.real.to(device),
        )

    @property
    def num_rows(self) -> int:
        return int((self.position_ids == 0).sum())


def pack(rows: Sequence[Row], length: int, padding: int) -> Packed:
    """Raises ValueError for rows that do not fit."""
    total = sum(map(len, rows))
    if not rows or total > length:
        raise ValueError(f"{len(rows)} rows of {total} positions came; at least one row and at most {length} fit")
    missing = length - total
    speech: list[SpeechPlaces] = []
    start = 0
    for row in rows:
        speech += [replace(heard, start=heard.start + start) for heard in row.speech]
        start += len(row)
    last = len(rows) - 1
    return Packed(
        token_ids=torch.tensor([[token for row in rows for token in row.token_ids] + [padding] * missing]),
        labels=torch.tensor([[label for row in rows for label in row.labels] + [NOT_LEARNED] * missing]),
        position_ids=torch.tensor(
            [[place for i, row in enumerate(rows) for place in range(len(row) + (missing if i == last else 0))]]
        ),
        real=(torch.arange(length) < total)[None],
        speech=tuple(speech),
    )
