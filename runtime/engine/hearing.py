"""What was said, heard by itself and then read as if it had been written.

A request that is heard is written down first, from the sound alone: what is shown beside it does not change the words.
From then on what answers it sees these words in the place of the speech: a model taught to draw what is written draws
what is said as well, however few spoken requests it was taught.
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
    """The canvases of one request: the speech alone, and then as if it had been written.

    turns: as they came; the speech of the last one is what is heard. listens: the recipe of the slot that writes it
    down. recipe: that of the slots that see the words.
    """

    turns: Sequence[EncodedTurn]
    listens: Recipe
    recipe: Recipe
    lay_out: LayOut
    text: TextCodec
    _laid: tuple[str, Canvas] | None = field(default=None, init=False)

    def seen(self, canvas: Canvas, slot: Slot) -> Canvas | None:
        """What a pass for `slot` works on; None where that is `canvas` itself: it sees no words, or not yet."""
        if slot.name == self.heard:
            return _filled(self._listening, canvas)
        if not self.reads(canvas, slot):
            return None
        words = self.words(canvas)
        if self._laid is None or self._laid[0] != words:
            self._laid = words, self.lay_out([*self.turns[:-1], _written(self.turns[-1], words)], self.recipe)
        return _filled(self._laid[1], canvas)

    def reads(self, canvas: Canvas, slot: Slot) -> bool:
        """Whether a slot sees the words, and they are known."""
        return bool(self.words(canvas)) and slot.name in {numbers.name for numbers in self.recipe.slots}

    @property
    def heard(self) -> str:
        """The slot that writes down what was said."""
        return self.listens.slots[0].name

    @cached_property
    def _listening(self) -> Canvas:
        spoken = tuple(content for content in self.turns[-1].contents if isinstance(content, EncodedSpeech))
        return self.lay_out([replace(self.turns[-1], contents=spoken)], self.listens)

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
    places = [place for place, slot in enumerate(recipe.slots) if slot.stands_for_speech]
    if not places or not any(isinstance(content, EncodedSpeech) for content in turns[-1].contents):
        return None
    first = places[0]
    slots = tuple(slot for slot in recipe.slots[first + 1 :] if slot.modality != "speech")
    listens = replace(recipe, slots=recipe.slots[first : first + 1])
    return Hearing(turns, listens, replace(recipe, slots=slots), lay_out, text) if slots else None


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
