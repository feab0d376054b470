"""Canvases side by side for one forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from runtime.diffusion.canvas import Canvas


@dataclass(frozen=True)
class Batch:
    """Padded rows; what stands behind `lengths` is never attended to.

    token_ids, image_cells: (batch, length) int64; positions: (batch, length) float32; lengths: (batch,).
    spoken: (batch, length) int64, None where nothing is said.
    speech: (batch index, first canvas position, (rows, hidden) embeddings) of each stretch of speech.
    """

    token_ids: Tensor
    positions: Tensor
    image_cells: Tensor
    spoken: Tensor | None
    lengths: Tensor
    speech: tuple[tuple[int, int, Tensor], ...]

    @classmethod
    def of(cls, canvases: Sequence[Canvas]) -> "Batch":
        return cls(
            token_ids=pad_sequence([c.token_ids for c in canvases], batch_first=True),
            positions=pad_sequence([c.positions for c in canvases], batch_first=True),
            image_cells=pad_sequence([c.image_cells for c in canvases], batch_first=True, padding_value=-1),
            spoken=_padded([c.spoken for c in canvases]),
            lengths=torch.tensor([len(c) for c in canvases]),
            speech=tuple((i, rows.start, rows.embeddings) for i, c in enumerate(canvases) for rows in c.speech),
        )

    def to(self, device: torch.device) -> "Batch":
        """The rows on `device`; speech follows when it is put in."""
        return replace(
            self,
            token_ids=self.token_ids.to(device),
            positions=self.positions.to(device),
            image_cells=self.image_cells.to(device),
            spoken=None if self.spoken is None else self.spoken.to(device),
            lengths=self.lengths.to(device),
        )

    def put_speech(self, embedded: Tensor) -> Tensor:
        """Embeddings (batch, length, hidden) with the speech rows in their places."""
        for index, start, rows in self.speech:
            embedded[index, start : start + len(rows)] = rows.to(embedded)
        return embedded


def _padded(spoken: Sequence[Tensor]) -> Tensor | None:
    if not any(bool((row >= 0).any()) for row in spoken):
        return None
    return pad_sequence(list(spoken), batch_first=True, padding_value=-1)
