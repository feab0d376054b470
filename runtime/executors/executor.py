"""The executor as the engine knows it: canvases in, scores at their masked positions out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from runtime.diffusion.canvas import Canvas
from runtime.models.backbone import Memory


@dataclass
class Reuse:
    """What passes over one canvas keep for the next ones. It belongs to whoever asks for the passes.

    active: (n,) int64 ascending, positions that changed or are scored: all that is computed unless `refresh` is set.
    agreement: told by a refresh that found something remembered: the share of scored rows whose best token is the same
        with it and without it.
    """

    active: Tensor
    refresh: bool = True
    memory: Memory = field(default_factory=Memory)
    agreement: float = math.nan


@dataclass(frozen=True)
class ForwardItem:
    """What is wanted of one canvas.

    rows: (n,) int64 canvas positions to score, each >= 1. vocabulary: the token ids to score, [start, stop).
    reuse: where given, this pass may leave out what has hardly changed; an executor that cannot does not.
    Items that hold the very same canvas object share one pass over it.
    """

    canvas: Canvas
    rows: Tensor
    vocabulary: tuple[int, int]
    reuse: Reuse | None = None


class Executor(Protocol):
    """Runs forward passes. Called from one thread only."""

    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        """Scores for each item, (rows, size of its vocabulary), float32. Row p scores what belongs at position p."""
        ...
