"""What is known of an answer while it forms: each of its slots as a value, made from the server's events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from omnisdk.media import PreviewImage, Speech
from omnisdk.protocol import events
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ

MASKED_TEXT = "▒"
MASKED_TOKEN = -1
TRANSCRIPT_SLOT = "transcript"
Tokens = NDArray[np.int64]
Confidence = NDArray[np.float32]


def _no_tokens() -> Tokens:
    return np.zeros(0, np.int64)


def _no_confidence() -> Confidence:
    return np.zeros(0, np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class SlotPartial:
    """What is known of one slot: a TextPartial, an ImagePartial or a SpeechPartial.

    name: "text", "transcript" (what was heard), "image", "speech", ...; modality: "text", "image" or "speech"; length:
    its positions; progress: their filled share, 0..1.
    tokens: (length,) int64 joint ids, -1 where masked. confidence: (length,) float32 in 0..1, how sure each was when it
    was filled in, NaN where masked. Both are empty where the server does not tell them, as with partials="preview".
    """

    modality: ClassVar[str] = "unknown"  # of a server newer than this
    name: str
    length: int = 0
    progress: float = 0.0
    tokens: Tokens = field(default_factory=_no_tokens, repr=False)
    confidence: Confidence = field(default_factory=_no_confidence, repr=False)

    @property
    def masked(self) -> NDArray[np.bool_]:
        """(length,) where nothing is known yet."""
        return np.isnan(self.confidence)

    def __str__(self) -> str:
        return f"{self.name} {self.progress:.0%}"


class TextSpan(NamedTuple):
    """Characters [start, end) of a text. confidence: in 0..1, NaN where masked."""

    start: int
    end: int
    masked: bool
    confidence: float


@dataclass(frozen=True, eq=False, kw_only=True)
class TextPartial(SlotPartial):
    """A text with holes. text: with ▒ where still masked, up to its end as far as that is known; spans: its tokens."""

    modality: ClassVar[str] = "text"
    text: str = ""
    spans: tuple[TextSpan, ...] = field(default=(), repr=False)

    @cached_property
    def letters(self) -> Confidence:
        """(len(text),) float32: how sure each character is, NaN where masked."""
        confidence = np.full(len(self.text), np.nan, np.float32)
        for span in self.spans:
            confidence[span.start : span.end] = span.confidence
        return confidence

    def __str__(self) -> str:
        return f"{super().__str__()} {self.text}".rstrip()


@dataclass(frozen=True)
class Preview:
    """The picture of a partial as it came: an undecoded PNG and one mask bit and confidence for each cell."""

    png: bytes = field(repr=False)
    rows: int
    columns: int
    mask: tuple[int, ...] = field(repr=False)
    confidence: tuple[float, ...] = field(repr=False)

    @cached_property
    def image(self) -> PreviewImage:
        """Decoded when first asked for."""
        shape = (self.rows, self.columns)
        mask = np.array(self.mask, bool).reshape(shape)
        return PreviewImage(self.png, mask, np.array(self.confidence, np.float32).reshape(shape))


@dataclass(frozen=True, eq=False, kw_only=True)
class ImagePartial(SlotPartial):
    """A picture of (rows, columns) cells, position by position from the top left."""

    modality: ClassVar[str] = "image"
    rows: int = 0
    columns: int = 0
    preview: Preview | None = None

    @property
    def image(self) -> PreviewImage | None:
        """The picture so far, masked cells as the model would paint them now; None before the first was told."""
        return None if self.preview is None else self.preview.image


@dataclass(frozen=True, eq=False, kw_only=True)
class SpeechPartial(SlotPartial):
    """What is being said. pieces: its sound so far, 16-bit PCM at 24 kHz, from its beginning without a gap."""

    modality: ClassVar[str] = "speech"
    pieces: tuple[bytes, ...] = field(default=(), repr=False)

    @cached_property
    def speech(self) -> Speech | None:
        """What can be heard so far; None before the first of it."""
        if not self.pieces:
            return None
        return Speech.said(np.frombuffer(b"".join(self.pieces), "<i2").astype(np.int16), WIRE_SAMPLE_RATE_HZ)


@dataclass(frozen=True, eq=False)
class Partial:
    """What is known of an answer at one moment. A snapshot: a later partial may change any of it.

    progress: share of positions filled, 0..1; slots: the parts of the answer by name, in the order of its canvas.
    """

    step: int = 0
    steps: int = 0
    progress: float = 0.0
    eta_ms: int | None = None
    slots: Mapping[str, SlotPartial] = field(default_factory=dict, repr=False)

    @property
    def text(self) -> str:
        """What is said, with ▒ where still masked."""
        told = (slot for slot in self.slots.values() if isinstance(slot, TextPartial) and slot.name != TRANSCRIPT_SLOT)
        return " ".join(slot.text for slot in told if slot.text)

    @property
    def transcript(self) -> str:
        """What was heard, with ▒ where still masked."""
        heard = self.slots.get(TRANSCRIPT_SLOT)
        return heard.text if isinstance(heard, TextPartial) else ""

    @property
    def preview(self) -> Preview | None:
        """The picture so far as it came, not decoded."""
        return next((slot.preview for slot in self.slots.values() if isinstance(slot, ImagePartial)), None)

    @property
    def image(self) -> PreviewImage | None:
        """The picture so far, with `.mask` and `.confidence` grids (rows, columns). Decoded when first asked for."""
        return None if self.preview is None else self.preview.image

    @property
    def speech(self) -> Speech | None:
        """What can be heard of the answer so far."""
        return next((slot.speech for slot in self.slots.values() if isinstance(slot, SpeechPartial)), None)

    def _repr_html_(self) -> str:
        from omnisdk.notebook import partial_html

        return partial_html(self.image, self.progress, self.text or self.transcript)

    def __str__(self) -> str:
        said = f" {self.text or self.transcript}".rstrip()
        return f"step {self.step}/{self.steps} {self.progress:.0%}{said}"


SlotT = TypeVar("SlotT", bound=SlotPartial)
NumberT = TypeVar("NumberT", bound=np.generic)


def fold_partial(partial: Partial, event: events.ServerEvent) -> Partial:
    """The partial after one more event of its answer; the same object if the event says nothing about partials."""
    match event:
        case events.OmniCanvasCreated():
            return replace(partial, steps=event.steps, slots={slot.name: _laid_out(slot) for slot in event.slots})
        case events.OmniCanvasDelta():
            return _with_delta(partial, event)
        case events.OmniTextPartial():
            return _with_slot(partial, _read(_slot(partial, event.slot, TextPartial), event))
        case events.OmniImagePartial():
            seen = replace(partial, step=event.step, steps=event.steps)
            return _with_slot(seen, _painted(_slot(partial, event.slot, ImagePartial), event))
        case events.ResponseOutputAudioDelta():
            spoken = _slot(partial, _speech_name(partial), SpeechPartial)
            return _with_slot(partial, replace(spoken, pieces=(*spoken.pieces, event.delta)))
        case events.OmniProgress():
            return _with_progress(partial, event)
    return partial


def _laid_out(slot: events.SlotLayout) -> SlotPartial:
    match slot.modality:
        case "text":
            hidden = TextSpan(0, slot.length, True, np.nan)
            return TextPartial(name=slot.name, length=slot.length, text=MASKED_TEXT * slot.length, spans=(hidden,))
        case "image":
            return ImagePartial(name=slot.name, length=slot.length, rows=slot.rows or 0, columns=slot.columns or 0)
        case "speech":
            return SpeechPartial(name=slot.name, length=slot.length)
    return SlotPartial(name=slot.name, length=slot.length)


def _with_delta(partial: Partial, event: events.OmniCanvasDelta) -> Partial:
    """With what was filled in and what was opened. Slots that nothing is told of did not change."""
    changes = {change.name: change for change in event.slots}
    slots = {name: _changed(slot, changes.get(name)) for name, slot in partial.slots.items()}
    return replace(partial, step=event.step, steps=event.steps, progress=event.unmasked_ratio, slots=slots)


def _changed(slot: SlotPartial, change: events.SlotChange | None) -> SlotPartial:
    if change is None and len(slot.tokens):
        return slot
    told = len(slot.tokens) > 0
    tokens = slot.tokens.copy() if told else np.full(slot.length, MASKED_TOKEN, np.int64)
    confidence = slot.confidence.copy() if told else np.full(slot.length, np.nan, np.float32)
    if change is not None:
        tokens[change.remasked], confidence[change.remasked] = MASKED_TOKEN, np.nan
        for position, token, sure in change.updates:
            tokens[position], confidence[position] = token, sure
    return replace(slot, tokens=_fixed(tokens), confidence=_fixed(confidence))


def _read(slot: TextPartial, event: events.OmniTextPartial) -> TextPartial:
    spans = tuple(_span(span) for span in event.spans)
    return replace(slot, text=_with_masks(event.text, spans), spans=spans)


def _painted(slot: ImagePartial, event: events.OmniImagePartial) -> ImagePartial:
    preview = Preview(event.partial_image_b64, event.rows, event.columns, tuple(event.mask), tuple(event.confidence))
    slot = replace(slot, rows=event.rows, columns=event.columns, length=event.rows * event.columns, preview=preview)
    if len(slot.tokens):
        return slot  # the delta has told it more exactly
    confidence = np.array(preview.confidence, np.float32)
    confidence[np.array(preview.mask, bool)] = np.nan
    return replace(slot, confidence=_fixed(confidence))


def _with_progress(partial: Partial, event: events.OmniProgress) -> Partial:
    shares = event.slots
    slots = {name: replace(slot, progress=shares.get(name, slot.progress)) for name, slot in partial.slots.items()}
    return replace(
        partial,
        step=event.step,
        steps=event.steps,
        progress=event.unmasked_ratio,
        eta_ms=event.eta_ms,
        slots=slots,
    )


def _slot(partial: Partial, name: str, kind: type[SlotT]) -> SlotT:
    """The slot of this name, a new one if the server did not lay it out."""
    known = partial.slots.get(name)
    return known if isinstance(known, kind) else kind(name=name)


def _speech_name(partial: Partial) -> str:
    return next((slot.name for slot in partial.slots.values() if isinstance(slot, SpeechPartial)), "speech")


def _with_slot(partial: Partial, slot: SlotPartial) -> Partial:
    return replace(partial, slots={**partial.slots, slot.name: slot})


def _span(span: events.Span) -> TextSpan:
    return TextSpan(span.start, span.end, span.masked, np.nan if span.masked else span.confidence)


def _with_masks(text: str, spans: Iterable[TextSpan]) -> str:
    """The text with every letter of a masked span as ▒; the spaces between words stay."""
    shown, position = [], 0
    for span in sorted(span for span in spans if span.masked):
        shown.append(text[position : span.start])
        covered = text[span.start : span.end]
        shown.append("".join(" " if letter == " " else MASKED_TEXT for letter in covered))
        position = max(position, span.end)
    return "".join(shown) + text[position:]


def _fixed(values: NDArray[NumberT]) -> NDArray[NumberT]:
    values.setflags(write=False)
    return values
