"""What was said, read as if it had been written.

A request that is heard is written down first. From then on what answers it sees these words in the place of the speech:
a model that was taught to draw what is written draws what is said as well, however few spoken requests it was taught.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch

from runtime.codecs.text import TextCodec
from runtime.diffusion.canvas import Canvas, Slot
from runtime.engine.prompt import NOTHING_SAID, EncodedSpeech, EncodedTurn
from runtime.engine.recipe import Recipe

LayOut = Callable[[Sequence[EncodedTurn], Recipe], Canvas]


@dataclass
class Hearing:
    """The canvases of one request as they would be if it had been written.

    turns: as they came; the speech of the last one is what is heard. recipe: that of the slots that see the words.
    heard: the slot that writes them down.
    """

    turns: Sequence[EncodedTurn]
    recipe: Recipe
    heard: str
    lay_out: LayOut
    text: TextCodec
    _laid: tuple[str, Canvas] | None = field(default=None, init=False)

    def seen(self, canvas: Canvas, slot: Slot) -> Canvas | None:
        """What a pass for `slot` works on; None where that is `canvas` itself: it sees no words, or not yet."""
        words = self.words(canvas)
        if not words or slot.name not in {numbers.name for numbers in self.recipe.slots}:
            return None
        if self._laid is None or self._laid[0] != words:
            self._laid = words, self.lay_out([*self.turns[:-1], _written(self.turns[-1], words)], self.recipe)
        return _filled(self._laid[1], canvas)

    @cached_property
    def unprompted(self) -> Canvas:
        """What guidance compares with: the same slots with nothing said."""
        return self.lay_out(NOTHING_SAID, self.recipe)

    def words(self, canvas: Canvas) -> str:
        """What was said, "" as long as it is not written down."""
        source = canvas.slot(self.heard)
        return "" if canvas.num_masked(source) else self.text.decode(canvas.said(source).tolist())


def hearing_of(turns: Sequence[EncodedTurn], recipe: Recipe, lay_out: LayOut, text: TextCodec) -> Hearing | None:
    """None where the recipe writes nothing down to be read so, or no speech came last.

    Speech that says what is written is laid along its words in the answer's own canvas, so it is left there.
    """
    names = [slot.name for slot in recipe.slots if slot.stands_for_speech]
    if not names or not any(isinstance(content, EncodedSpeech) for content in turns[-1].contents):
        return None
    behind = recipe.slots[[slot.name for slot in recipe.slots].index(names[0]) + 1 :]
    slots = tuple(slot for slot in behind if slot.modality != "speech")
    return Hearing(turns, replace(recipe, slots=slots), names[0], lay_out, text) if slots else None


def _written(turn: EncodedTurn, words: str) -> EncodedTurn:
    others = tuple(content for content in turn.contents if not isinstance(content, EncodedSpeech))
    return replace(turn, contents=(*others, words))


def _filled(laid: Canvas, canvas: Canvas) -> Canvas:
    """`laid` with what `canvas` has in the slots of the same names."""
    for slot in laid.slots:
        source = canvas.slot(slot.name)
        laid = laid.fill(_places(slot), canvas.tokens_of(source), canvas.confidence[source.positions])
    return laid


def _places(slot: Slot) -> torch.Tensor:
    return torch.arange(slot.start, slot.start + slot.length)
