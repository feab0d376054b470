"""An answer goes on under other turns: what they make no less likely stays, the rest is opened again.

What a position holds is judged before anything is filled in: as it would be drawn first under the old turns and under
the new ones. Filled neighbours would speak for what they were drawn with.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from runtime.diffusion.canvas import Canvas, Slot
from runtime.engine.edits import EditError
from runtime.engine.grounds import Grounds
from runtime.engine.hearing import Hearing
from runtime.executors.executor import ForwardItem


@dataclass(frozen=True)
class Laid:
    """What an answer is steered to: its canvas under other turns, how these are read once they are written down, and
    what its texts can then be held against."""

    canvas: Canvas
    hearing: Hearing | None = None
    grounds: Grounds | None = None


@dataclass(frozen=True)
class Weighing:
    """before, after: the canvas under the old turns and under the new ones, the same in their slots."""

    before: Canvas
    after: Canvas
    bound: float

    def items(self) -> list[ForwardItem]:
        """Two for each slot that holds something that may be opened."""
        canvases = (_emptied(self.before), _emptied(self.after))  # one of each: slots of one canvas share a pass
        return [_item(canvas, name, places) for name, places in self._filled() for canvas in canvases]

    def weighed(self, scores: Sequence[Tensor]) -> Canvas:
        """The canvas under the new turns, with what they speak against opened. scores: of `items`."""
        left, canvas = iter(scores), self.after
        for name, places in self._filled():
            slot = canvas.slot(name)
            columns = canvas.tokens_of(slot)[places] - slot.vocabulary[0]
            old, new = _log_likelihood(next(left), columns), _log_likelihood(next(left), columns)
            canvas = canvas.reopen(places[(new - old).exp() < self.bound] + slot.start)
        return canvas

    def _filled(self) -> Iterator[tuple[str, Tensor]]:
        """By slot, the places of what stands there and is not pinned."""
        for slot in self.after.slots:
            free = ~(self.after.masked | self.after.pinned)[slot.positions]
            if free.any():
                yield slot.name, free.nonzero()[:, 0]


def carried_over(before: Canvas, after: Canvas) -> Canvas:
    """`after`, just laid out, with what stands in the slots of `before`. Raises EditError if the slots differ."""
    if [(s.name, s.length) for s in before.slots] != [(s.name, s.length) for s in after.slots]:
        raise EditError("an answer to this would have other slots; ask anew instead")
    barred = {slot.name: slot.forbidden for slot in before.slots}  # a given text has no ends of its own
    after = replace(after, slots=tuple(replace(slot, forbidden=barred[slot.name]) for slot in after.slots))
    for slot, twin in zip(before.slots, after.slots, strict=True):
        places = torch.arange(twin.start, twin.start + twin.length)
        after = after.fill(places, before.tokens_of(slot), before.confidence[slot.positions])
        after = after.pin(places[before.pinned[slot.positions]])
    return after


def _emptied(canvas: Canvas) -> Canvas:
    """All slots open but for what is pinned."""
    places = torch.cat([torch.arange(slot.start, slot.start + slot.length) for slot in canvas.slots])
    return canvas.reopen(places[~canvas.pinned[places]])


def _item(canvas: Canvas, name: str, places: Tensor) -> ForwardItem:
    slot: Slot = canvas.slot(name)
    return ForwardItem(canvas, places + slot.start, slot.vocabulary)


def _log_likelihood(scores: Tensor, columns: Tensor) -> Tensor:
    return scores.float().log_softmax(-1).gather(-1, columns[:, None])[:, 0]
