"""A text slot filled by trying several answers side by side, and taking the one that best explains what was given.

What all of them agree on stands on the canvas while they grow. A step runs a few passes at most, so that others are
served in between.
"""

from collections.abc import Callable, Generator, Sequence

from torch import Tensor

from runtime.codecs.text import TextCodec
from runtime.diffusion.beam import Beam
from runtime.diffusion.canvas import Canvas, Slot
from runtime.diffusion.choice import unsure
from runtime.diffusion.denoise import allowed, masked_positions
from runtime.engine.evidence import Evidence
from runtime.engine.recipe import SlotRecipe
from runtime.executors.executor import ForwardItem

AT_ONCE = 8  # passes of a step


class Search:
    """canvas: that of the answer, as far as it is certain. Each step runs `items` and goes on with their scores."""

    def __init__(
        self,
        canvas: Canvas,
        slot: Slot,
        numbers: SlotRecipe,
        evidence: Evidence,
        text: TextCodec,
        padding: int,
        seen: Callable[[Canvas], Canvas],
    ) -> None:
        """padding: what stands behind the end of a text. seen: what a pass works on in the place of a canvas."""
        self.canvas, self.slot = canvas, slot
        self._margin, self._evidence, self._text, self._seen = numbers.unsure_margin, evidence, text, seen
        self._steps = self._run(Beam.begun(canvas, slot, numbers.hypotheses, padding))
        self._waiting, self._scores = next(self._steps), list[Tensor]()

    @property
    def items(self) -> list[ForwardItem]:
        return self._waiting[:AT_ONCE]

    def advance(self, scores: Sequence[Tensor]) -> None:
        """scores: of `items`. With those of the last ones the slot is filled."""
        self._scores += scores
        self._waiting = self._waiting[len(scores) :]
        if self._waiting:
            return
        try:
            self._waiting, self._scores = self._steps.send(self._scores), []
        except StopIteration:
            self._waiting = []

    def _run(self, beam: Beam) -> Generator[list[ForwardItem], list[Tensor], None]:
        """Grow all answers, hold them against the evidence, fill in the best."""
        scores = yield self._passes(beam)
        refusal = unsure(self.canvas, self.slot, allowed(self.canvas, self.slot, scores[0]), self._margin)
        beam = beam.advanced(scores)
        while beam.growing:
            if refusal is None:
                self.canvas = beam.agreed(self.canvas)
            scores = yield self._passes(beam)
            beam = beam.advanced(scores)
        if refusal is None and len(beam.hypotheses) == 1:
            self.canvas = beam.filled(self.canvas, beam.best([0.0]))
            return
        texts = [self._text.decode(said.tolist()) for said in beam.said()]
        gains = yield from self._evidence.gains(texts)
        best = beam.best([self._evidence.weight * gain for gain in gains])
        # An answer that explains what was given better than nothing does is no guess, however unsure it was.
        self.canvas = beam.filled(self.canvas, best) if refusal is None or gains[best.index] > 0 else refusal

    def _passes(self, beam: Beam) -> list[ForwardItem]:
        return [self._item(canvas) for canvas in beam.canvases(self.canvas)]

    def _item(self, canvas: Canvas) -> ForwardItem:
        seen = self._seen(canvas)
        rows = masked_positions(canvas, self.slot) - self.slot.start + seen.slot(self.slot.name).start
        return ForwardItem(seen, rows, self.slot.vocabulary)
