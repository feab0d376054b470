"""How words lie along the speech that says them: which token is said at which code, before any code is known.

The model knows how long each token of its text lasts. A speech slot that says a text is as long as its tokens together,
each position is told its token, and the tokens get the rotary positions at which they are said; so the network need not
find out which word it is in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import END_OF_SPEECH, TURN_END, TURN_START, Vocabulary
from runtime.diffusion.canvas import Canvas, Slot
from runtime.engine.recipe import PROMPT, Recipe, Recorded, SlotRecipe


@dataclass(frozen=True)
class Narration:
    """A text along its speech, in codes. starts: (tokens,) float32, where each is begun; stop: where the last ends.

    length: codes in all, silence at either end with them.
    """

    tokens: Tensor
    starts: Tensor
    stop: float
    length: int

    def along(self, recorded: Recorded, length: int) -> "Narration":
        """The same words along a recording of `length` codes, in their proportions, but whole words where it is open.

        The tokens between which it is opened are those that would begin nearest to there.
        """
        words = torch.cat([self.starts, torch.tensor([self.stop])]) - self.starts[0]
        places = recorded.first + words * (recorded.stop - recorded.first) / max(1.0, float(words[-1]))
        again = int((places[:-1] - recorded.again).abs().argmin())
        until = again + 1 + int((places[again + 1 :] - recorded.until).abs().argmin())
        anchors = {0: recorded.first, len(places) - 1: recorded.stop, again: recorded.again, until: recorded.until}
        known = sorted(anchors)
        fixed = torch.tensor([anchors[index] for index in known]).cummax(0).values
        moved = np.interp(places.numpy(), places[known].numpy(), fixed.numpy()).astype(np.float32)
        return Narration(self.tokens, torch.from_numpy(moved[:-1]), float(moved[-1]), length)

    @property
    def said(self) -> Tensor:
        """(length,) the token at the middle of each code, -1 in silence."""
        middles = torch.arange(self.length) + 0.5
        index = torch.searchsorted(self.starts, middles, right=True) - 1
        silent = (index < 0) | (middles >= self.stop)
        return torch.where(silent, -1, self.tokens[index.clamp(min=0)])


@dataclass(frozen=True)
class Timing:
    """How long a model's tokens last, in speech codes.

    durations: (text tokens, 2), inside a text and as its last. silence: codes before the first and behind the last.
    """

    durations: Tensor
    silence: tuple[float, float]

    def narration(self, tokens: Sequence[int]) -> Narration:
        """Of text ids; of none at all it has length 0."""
        ids = torch.tensor(list(tokens), dtype=torch.long)
        if not len(ids):
            return Narration(ids, torch.zeros(0), 0.0, 0)
        last = torch.zeros(len(ids), dtype=torch.long)
        last[-1] = 1
        ends = self.durations[ids, last].cumsum(0) + self.silence[0]
        starts = torch.cat([torch.tensor([self.silence[0]]), ends[:-1]])
        stop = float(ends[-1])
        return Narration(ids, starts, stop, max(1, round(stop + self.silence[1])))


def narrated(canvas: Canvas, slot: Slot, places: Tensor, narration: Narration, end: int) -> Canvas:
    """With the text at canvas positions `places` (tokens,) laid along `slot`, all of which but what is pinned is open.

    What of the slot lies behind the speech becomes `end`; of a speech that is too long the rest is not said.
    """
    positions, spoken, token_ids = canvas.positions.clone(), canvas.spoken.clone(), canvas.token_ids.clone()
    length = min(narration.length, slot.length)
    positions[places] = positions[slot.start] + narration.starts
    spoken[slot.positions] = -1
    spoken[slot.start : slot.start + length] = narration.said[:length]
    token_ids[slot.positions] = canvas.mask_id
    token_ids[slot.start + length : slot.start + slot.length] = end
    token_ids = torch.where(canvas.pinned, canvas.token_ids, token_ids)
    confidence = canvas.confidence.clone()
    confidence[slot.positions] = (token_ids[slot.positions] != canvas.mask_id).float()
    return replace(canvas, positions=positions, spoken=spoken, token_ids=token_ids, confidence=confidence)


@dataclass(frozen=True)
class Narrator:
    """Lays speech slots along their words, as soon as these are known."""

    timing: Timing
    vocabulary: Vocabulary
    text: TextCodec

    def settled(self, recipe: Recipe, words: str) -> Recipe:
        """With slots that say what the user wrote as long as that takes, at most as long as they may be."""
        return replace(recipe, slots=tuple(self._as_long_as(slot, words) for slot in recipe.slots))

    def _as_long_as(self, slot: SlotRecipe, words: str) -> SlotRecipe:
        if slot.says != PROMPT or slot.recorded is not None:
            return slot
        length = self.timing.narration(self.text.encode(words)).length
        return replace(slot, length=max(1, min(slot.length, length)))

    def laid(self, canvas: Canvas, recipe: Recipe) -> Canvas:
        """With every speech slot laid along its words that are known and not what it is laid along."""
        for slot, numbers in zip(canvas.slots, recipe.slots, strict=True):
            if numbers.says is None:
                continue
            places = self._places(canvas, numbers.says)
            if places is None:
                continue
            narration = self.timing.narration(canvas.token_ids[places].tolist())
            if numbers.recorded is not None:
                narration = narration.along(numbers.recorded, length=slot.length - 1)
            if not self._lies_along(canvas, slot, narration):
                end = self.vocabulary[END_OF_SPEECH]
                canvas = forbid_ends(narrated(canvas, slot, places, narration, end), slot)
        return canvas

    def without_speech(self, canvas: Canvas, recipe: Recipe) -> Canvas:
        """What is seen while words are still found: the canvas as it would be if none of it were to be said.

        So an answer's words and pictures are the same whether they are said or not.
        """
        for slot, numbers in zip(reversed(canvas.slots), reversed(recipe.slots), strict=True):
            if numbers.says is not None and not set(slot.ends) <= set(slot.forbidden):
                canvas = _without(canvas, slot.start - 1, slot.start + slot.length + 1)
        return canvas

    def _lies_along(self, canvas: Canvas, slot: Slot, narration: Narration) -> bool:
        """Whether it was laid along just this before; what it may not say any more tells that it was laid at all."""
        said = narration.said[: slot.length]
        stands = canvas.spoken[slot.positions]
        laid = set(slot.ends) <= set(slot.forbidden)
        return laid and torch.equal(stands[: len(said)], said) and bool((stands[len(said) :] == -1).all())

    def _places(self, canvas: Canvas, says: str) -> Tensor | None:
        """Canvas positions of the words; None while they are not complete."""
        if says == PROMPT:
            return words_of_prompt(canvas, self.vocabulary, self.text)
        source = canvas.slot(says)
        if canvas.num_masked(source):
            return None
        first, stop = self.vocabulary.text
        said = canvas.said(source)
        return ((said >= first) & (said < stop)).nonzero()[:, 0] + source.start


def _without(canvas: Canvas, start: int, stop: int) -> Canvas:
    """Without the positions [start, stop) and the slots in them; what follows moves up."""
    kept = torch.cat([torch.arange(start), torch.arange(stop, len(canvas))])
    positions = canvas.positions.clone()
    positions[stop:] -= stop - start
    return replace(
        canvas,
        token_ids=canvas.token_ids[kept],
        positions=positions[kept],
        image_cells=canvas.image_cells[kept],
        spoken=canvas.spoken[kept],
        confidence=canvas.confidence[kept],
        pinned=canvas.pinned[kept],
        slots=tuple(slot for slot in canvas.slots if not start <= slot.start < stop),
    )


def words_of_prompt(canvas: Canvas, vocabulary: Vocabulary, text: TextCodec) -> Tensor:
    """Canvas positions of what the user wrote last: (n,)."""
    turn_starts = (canvas.token_ids == vocabulary[TURN_START]).nonzero()[:, 0]
    start = int(turn_starts[-2]) + 1 + len(text.encode("user"))
    ends = (canvas.token_ids[start:] == vocabulary[TURN_END]).nonzero()[:, 0]
    first, stop = vocabulary.text
    inside = canvas.token_ids[start : start + int(ends[0])]
    return ((inside >= first) & (inside < stop)).nonzero()[:, 0] + start


def forbid_ends(canvas: Canvas, slot: Slot) -> Canvas:
    """How long the speech is, is known: it ends nowhere else."""
    slots = (replace(s, forbidden=(*s.forbidden, *s.ends)) if s.name == slot.name else s for s in canvas.slots)
    return replace(canvas, slots=tuple(slots))
