"""What speaks for an answer that follows from another question's: "is there a cat?" from "what do you see?".

A bare yes makes no request that would draw the picture, and a model that has to guess it guesses. So the other question
is answered in every likely way, each is held against the picture, and an answer is as good as the best of those that it
follows from.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from runtime.diffusion.beam import Beam
from runtime.diffusion.denoise import masked_positions
from runtime.engine.evidence import Asking, Drawing, asking
from runtime.engine.rules import PLACE, Implied, asked_as
from runtime.executors.executor import ForwardItem


@dataclass(frozen=True)
class Implication:
    """Implements Evidence. by: the other question. answers: what its answer is then, as a regular expression.

    drawing: what that is held against. width: how many answers to it are tried. padding: what stands behind a text.
    """

    by: str
    answers: Mapping[str, str]
    drawing: Drawing
    width: int
    padding: int

    @property
    def weight(self) -> float:
        """What is gained is weighed already."""
        return 1.0

    def gains(self, texts: Sequence[str]) -> Asking:
        """How much better an answer is than the best of the others; what can be no answer is worth least."""
        told = yield from self._told()
        least = min(told.values())
        worth = {
            answer: max((worth for text, worth in told.items() if re.fullmatch(pattern, text)), default=least)
            for answer, pattern in self.answers.items()
        }
        return [self._gain(text, worth) for text in texts]

    def _gain(self, text: str, worth: Mapping[str, float]) -> float:
        others = [other for answer, other in worth.items() if answer != text]
        return worth.get(text, min(worth.values())) - max(others, default=0.0)

    def _told(self) -> Generator[list[ForwardItem], list[Tensor], dict[str, float]]:
        """The other question's answers, and what speaks for each in nats."""
        canvas = self.drawing.lay_out(asking(self.drawing.shown, self.by), self.drawing.reads)
        slot = canvas.slots[0]
        beam = Beam.begun(canvas, slot, self.width, self.padding)
        while beam.growing:
            scores = yield [ForwardItem(c, masked_positions(c, slot), slot.vocabulary) for c in beam.canvases(canvas)]
            beam = beam.advanced(scores)
        texts = [self.drawing.text.decode(said.tolist()) for said in beam.said()]
        gains = yield from self.drawing.gains(texts)
        worths = [one.worth + self.drawing.weight * gain for one, gain in zip(beam.hypotheses, gains, strict=True)]
        return dict(sorted(zip(texts, worths, strict=True), key=lambda found: found[1]))  # of equal texts the best


def implied_answers(question: str, implied: Sequence[Implied]) -> tuple[str, Mapping[str, str]] | None:
    """By which question it is answered, and how; None where it follows from none."""
    for one in implied:
        if found := asked_as(one.asked, question):
            return one.by, {answer: _with_groups(pattern, found) for answer, pattern in one.answers.items()}
    return None


def _with_groups(pattern: str, found: re.Match[str]) -> str:
    groups = {str(number): re.escape(group or "") for number, group in enumerate(found.groups(), 1)}
    return PLACE.sub(lambda place: groups.get(place[1], place[0]), pattern)
