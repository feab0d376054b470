"""Previews: what is known of a slot while it is being unmasked, made readable and visible."""

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.codecs.image import ImageCodec
from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import Vocabulary
from runtime.diffusion.canvas import Canvas, Slot
from runtime.engine.output import SlotState, Sound, TextSpan
from runtime.engine.recipe import SlotRecipe

MASKED_CHARACTER = "▒"


class CodeStream(Protocol):
    """As `runtime.codecs.speech_stream.SpeechStream`."""

    @property
    def hop_codes(self) -> int: ...

    def push(self, codes: Tensor, final: bool = False) -> Tensor:
        """(n,) all codes so far -> (samples,) float32, what is new."""
        ...


class Voice(Protocol):
    """Speech codes to sound, as the codec of a speech decoder does it."""

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def codes_per_second(self) -> float: ...

    def pcm(self, codes: Tensor) -> NDArray[np.int16]:
        """(n,) codes from 0 -> (samples,) int16."""
        ...

    def stream(self) -> CodeStream:
        """A beginning: the sound of one answer while its codes come."""
        ...


class StreamSpeaker:
    """Implements Speaker on a stream of codes. speech: the range of speech tokens."""

    def __init__(self, voice: Voice, speech: tuple[int, int]) -> None:
        self._stream, self._rate_hz, self._speech = voice.stream(), voice.sample_rate_hz, speech
        self._ended = False

    @property
    def hop(self) -> int:
        return self._stream.hop_codes

    def push(self, slot: SlotState) -> Sound:
        first, stop = self._speech
        tokens = torch.from_numpy(slot.tokens[: slot.settled])
        codes = tokens[(tokens >= first) & (tokens < stop)] - first
        if self._ended or (slot.complete and not len(codes)):
            return Sound(np.zeros(0, np.int16), self._rate_hz)
        self._ended = slot.complete
        samples = self._stream.push(codes, final=slot.complete)
        return Sound((samples * 32767).round().to(torch.int16).numpy(), self._rate_hz)


@dataclass(frozen=True)
class Reading:
    """A text slot made readable."""

    text: str
    spans: tuple[TextSpan, ...]


@dataclass(frozen=True)
class Previewer:
    """Turns slots of a canvas into the snapshots clients see."""

    vocabulary: Vocabulary
    text: TextCodec
    image: ImageCodec
    voice: Voice | None = None

    def state(self, canvas: Canvas, slot: Slot) -> SlotState:
        """A snapshot of `slot` without its picture."""
        tokens = canvas.tokens_of(slot)
        reading = (_chosen(canvas, slot) or self.read(canvas, slot)) if slot.modality == "text" else None
        speaks = slot.modality == "speech" and self.voice is not None
        return SlotState(
            name=slot.name,
            modality=slot.modality,
            tokens=tokens.masked_fill(tokens == canvas.mask_id, -1).numpy(),
            confidence=canvas.confidence[slot.positions].clone().numpy(),
            text=reading.text if reading else None,
            spans=reading.spans if reading else (),
            full=reading is not None and len(canvas.said(slot)) == slot.length,
            grid=grid(slot) if slot.modality == "image" else None,
            sound=partial(self.speak, canvas, slot) if speaks else None,
            speaker=self._speaker if speaks else None,
        )

    def read(self, canvas: Canvas, slot: Slot) -> Reading:
        """The text up to its first end, "▒" for each masked position, a span for each token and masked run."""
        said = canvas.said(slot).tolist()
        confidence = canvas.confidence[slot.positions].tolist()
        text, spans = "", []
        for start, stop in _runs(said, canvas.mask_id):
            if said[start] == canvas.mask_id:
                spans.append(TextSpan(len(text), len(text) + stop - start, True, 0.0, (start, stop)))
                text += MASKED_CHARACTER * (stop - start)
            else:
                ends_at, first = self._ends(said[start:stop], follows=bool(text)), start
                for at, (begin, end) in enumerate(pairwise([0, *ends_at]), start):
                    if end > begin:
                        places = first, at + 1
                        spans.append(TextSpan(len(text) + begin, len(text) + end, False, confidence[at], places))
                        first = at + 1
                text += self._decode(said[start:stop], follows=bool(text))
        return Reading(text, tuple(spans))

    def paint(self, canvas: Canvas, slot: Slot, guesses: Tensor | None) -> NDArray[np.uint8]:
        """The picture as far as it is known; masked cells show the present best guess.

        guesses: (slot length,) token ids; None for a slot that is complete.
        """
        tokens = canvas.tokens_of(slot)
        if guesses is not None:
            tokens = torch.where(tokens == canvas.mask_id, guesses, tokens)
        return self.image.decode((tokens - self.vocabulary.image[0]).view(grid(slot)))

    def speak(self, canvas: Canvas, slot: Slot) -> Sound | None:
        """The sound of a complete speech slot; None if nothing is said in it or the model has no voice."""
        return self.sound_of(canvas.said(slot))

    def sound_of(self, tokens: Tensor) -> Sound | None:
        """The sound of the speech tokens among `tokens`."""
        first, stop = self.vocabulary.speech
        codes = tokens[(tokens >= first) & (tokens < stop)] - first
        if self.voice is None or not len(codes):
            return None
        return Sound(self.voice.pcm(codes), self.voice.sample_rate_hz)

    def _speaker(self) -> StreamSpeaker:
        assert self.voice is not None
        return StreamSpeaker(self.voice, self.vocabulary.speech)

    def _ends(self, run: list[int], follows: bool) -> list[int]:
        """Where each token of a run ends in the run's text. A character of several tokens belongs to its last."""
        text = self._decode(run, follows)
        ends: list[int] = []
        for i in range(1, len(run) + 1):
            begun = self._decode(run[:i], follows).rstrip("\ufffd")
            ends.append(max(len(begun) if text.startswith(begun) else 0, ends[-1] if ends else 0))
        if ends:
            ends[-1] = len(text)
        return ends

    def _decode(self, run: list[int], follows: bool) -> str:
        """Text of consecutive tokens. A leading blank, which the codec strips, stays if something precedes."""
        if not follows:
            return self.text.decode(run)
        anchor = self.text.encode("a")
        return self.text.decode(anchor + run)[len(self.text.decode(anchor)) :]


def _chosen(canvas: Canvas, slot: Slot) -> Reading | None:
    """Which of its choices a slot says; None if it has none or says something else."""
    tokens = tuple(canvas.tokens_of(slot).tolist()) if slot.choices else ()
    text = next((choice.text for choice in slot.choices if choice.tokens == tokens), None)
    if text is None:
        return None
    confidence = float(canvas.confidence[slot.positions].min())
    return Reading(text, (TextSpan(0, len(text), False, confidence, (0, slot.length)),))


def grid(slot: Slot | SlotRecipe) -> tuple[int, int]:
    """Rows and columns of an image slot, which is square. Raises ValueError if it is not."""
    side = math.isqrt(slot.length)
    if side * side != slot.length:
        raise ValueError(f"image slot {slot.name!r} has {slot.length} positions; a square number is needed")
    return side, side


def _runs(tokens: list[int], mask_id: int) -> list[tuple[int, int]]:
    """[start, stop) of the longest runs that are all masked or all known, in order."""
    edges = [i for i in range(1, len(tokens)) if (tokens[i] == mask_id) != (tokens[i - 1] == mask_id)]
    bounds = [0, *edges, len(tokens)] if tokens else []
    return list(pairwise(bounds))
