"""Which positions of a canvas a pass may leave out, and a guard over it.

In a bidirectional network everything a position tells depends on all others, so what is remembered of the prompt is an
approximation from the first filled token on. It is refreshed every few steps; each refresh compares the two, and where
they differ too often it is refreshed more often, down to every step, which is exact.
"""

import logging
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from runtime.diffusion.canvas import Canvas
from runtime.executors.executor import Reuse

log = logging.getLogger(__name__)
LEAST_AGREEMENT = 0.9  # of best tokens, at a refresh


@dataclass
class CanvasReuse:
    """Of one canvas while one slot of it is filled. every: steps from one refresh to the next, 1 remembers nothing."""

    every: int
    _age: int = 0
    _seen: Tensor | None = None  # the token ids at the last pass
    _reuse: Reuse | None = field(default=None)

    def plan(self, canvas: Canvas, rows: Tensor) -> Reuse | None:
        """What the next pass over `canvas` may reuse when `rows` (n,) of it are scored."""
        self._heed_last()
        if self.every <= 1:
            self._reuse = None
            return None
        if self._reuse is None or self._seen is None or len(self._seen) != len(canvas):
            self._reuse, self._age = Reuse(rows), self.every
        else:
            changed = (canvas.token_ids != self._seen).nonzero()[:, 0]
            self._reuse.active = torch.unique(torch.cat([rows, rows - 1, changed]))
        self._age += 1
        self._reuse.refresh = self._age >= self.every
        if self._reuse.refresh:
            self._age = 0
        self._seen = canvas.token_ids
        return self._reuse

    def _heed_last(self) -> None:
        """Refresh twice as often if the last refresh found that too much had changed."""
        if self._reuse is not None and self._reuse.agreement < LEAST_AGREEMENT:
            self.every //= 2
            log.debug("agreement %.2f: refreshing every %d steps", self._reuse.agreement, self.every)
            self._reuse.agreement = math.nan
