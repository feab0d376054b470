"""Forward passes: which canvases share one, and which of their rows are wanted."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from runtime.diffusion.batch import Batch
from runtime.diffusion.canvas import Canvas
from runtime.executors.executor import ForwardItem
from runtime.models.backbone import Backbone, padding_bias


@dataclass(frozen=True)
class Wanted:
    """One item in a pass. index: among the items asked for. canvas: row of the batch. first: among the rows read."""

    index: int
    item: ForwardItem
    canvas: int
    first: int


@dataclass(frozen=True)
class Pass:
    """rows: (canvases, n) the rows to read of each canvas, one before the positions asked for; padded with 0."""

    batch: Batch
    rows: Tensor
    wanted: tuple[Wanted, ...]

    @classmethod
    def of(cls, canvases: Sequence[Canvas], items: Sequence[tuple[int, ForwardItem]]) -> "Pass":
        """items: with their indices, each of one of the canvases."""
        rows: list[list[Tensor]] = [[] for _ in canvases]
        wanted = []
        for index, item in items:
            place = next(i for i, canvas in enumerate(canvases) if canvas is item.canvas)
            wanted.append(Wanted(index, item, place, sum(map(len, rows[place]))))
            rows[place].append(item.rows - 1)
        return cls(
            Batch.of(canvases), pad_sequence([torch.cat(of_one) for of_one in rows], batch_first=True), tuple(wanted)
        )

    def run(self, backbone: Backbone, device: torch.device) -> dict[int, Tensor]:
        """Scores by index of the item, float32 on the CPU."""
        batch = self.batch.to(device)
        embedded = batch.put_speech(backbone.embed(batch.token_ids, batch.image_cells, batch.spoken))
        bias = padding_bias(batch.lengths, batch.token_ids.shape[1], embedded.dtype)
        hidden = backbone.hidden(embedded, batch.positions, bias, self.rows.to(device))
        return {
            one.index: backbone.scores(
                hidden[one.canvas, one.first : one.first + len(one.item.rows)], slice(*one.item.vocabulary)
            )
            .float()
            .cpu()
            for one in self.wanted
        }


def passes_of(items: Sequence[ForwardItem], *, together: bool) -> list[Pass]:
    """All canvases in one padded pass, or each in its own. Items of the very same canvas share its pass either way."""
    canvases = list({id(item.canvas): item.canvas for item in items}.values())
    numbered = list(enumerate(items))
    if together:
        return [Pass.of(canvases, numbered)]
    return [Pass.of([canvas], [(i, item) for i, item in numbered if item.canvas is canvas]) for canvas in canvases]
