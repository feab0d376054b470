"""The executor as the engine knows it: canvases in, scores at their masked positions out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from runtime.diffusion.canvas import Canvas


@dataclass(frozen=True)
class ForwardItem:
    """What is wanted of one canvas.

    rows: (n,) int64 canvas positions to score, each >= 1. vocabulary: the token ids to score, [start, stop).
    Items that hold the very same canvas object share one pass over it.
    """

    canvas: Canvas
    rows: Tensor
    vocabulary: tuple[int, int]


class Executor(Protocol):
    """Runs forward passes. Called from one thread only."""

    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        """Scores for each item, (rows, size of its vocabulary), float32. Row p scores what belongs at position p."""
        ...
