"""The content part of an answer, written or spoken, told in the order that clients rely on.

written: content_part.added → output_text.delta, .done → content_part.done
spoken: content_part.added → output_audio_transcript.delta → output_audio.delta … → output_audio.done →
output_audio_transcript.done → content_part.done
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from omnisdk.protocol import events
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.items import ContentPart, OutputAudio, OutputText
from runtime.engine.output import SlotState, Sound
from runtime.server.outbox import Outbox
from runtime.server.sound import wire_chunks


class Content(Protocol):
    """Raises OutboxFullError. `words` is what is said, None until it is told."""

    words: str | None

    def begin(self) -> None: ...

    def take(self, slots: Sequence[SlotState]) -> None:
        """Tell what is complete and was not told yet."""

    def end(self) -> None:
        """Tell that nothing more comes, once."""

    @property
    def part(self) -> ContentPart:
        """As the finished item holds it."""
        ...


class Written:
    """slot: the name of the text slot it is read from. place: where the part stands, for the events about it."""

    def __init__(self, slot: str, place: dict[str, Any], outbox: Outbox) -> None:
        self.words: str | None = None
        self._slot, self._place, self._outbox = slot, place, outbox

    def begin(self) -> None:
        empty = events.AnswerPart(type="text", text="")
        self._outbox.put(events.ResponseContentPartAdded(**self._place, part=empty))

    def take(self, slots: Sequence[SlotState]) -> None:
        words = _complete_text(slots, self._slot)
        if words is not None and self.words is None:
            self._tell(words)

    def end(self) -> None:
        if self.words is None:
            self._tell("")

    def _tell(self, words: str) -> None:
        self.words = words
        if words:
            self._outbox.put(events.ResponseOutputTextDelta(**self._place, delta=words))
        self._outbox.put(
            events.ResponseOutputTextDone(**self._place, text=words),
            events.ResponseContentPartDone(**self._place, part=events.AnswerPart(type="text", text=words)),
        )

    @property
    def part(self) -> ContentPart:
        return OutputText(text=self.words or "")


class Spoken:
    """words: what is said, where it was given; else it is read from `slot`, if the recipe writes it at all."""

    def __init__(self, slot: str | None, words: str | None, place: dict[str, Any], outbox: Outbox) -> None:
        self.words: str | None = None
        self._slot, self._given, self._place, self._outbox = slot, words, place, outbox
        self._sounded = False

    def begin(self) -> None:
        empty = events.AnswerPart(type="audio", transcript="")
        self._outbox.put(events.ResponseContentPartAdded(**self._place, part=empty))

    def take(self, slots: Sequence[SlotState]) -> None:
        sound = next((slot.speech for slot in slots if slot.speech is not None), None)
        words = self._given if self._slot is None and sound is not None else _complete_text(slots, self._slot)
        if words is not None and self.words is None:
            self.words = words
            if words:
                self._outbox.put(events.ResponseOutputAudioTranscriptDelta(**self._place, delta=words))
        if sound is not None and not self._sounded:
            self._sounded = True
            self._tell_sound(sound)

    def _tell_sound(self, sound: Sound) -> None:
        async def render() -> Sequence[ServerEvent]:
            chunks = await asyncio.to_thread(wire_chunks, sound)
            return [events.ResponseOutputAudioDelta(**self._place, delta=chunk) for chunk in chunks]

        self._outbox.put_rendered(render)

    def end(self) -> None:
        words = self.words or ""
        self._outbox.put(
            events.ResponseOutputAudioDone(**self._place),
            events.ResponseOutputAudioTranscriptDone(**self._place, transcript=words),
            events.ResponseContentPartDone(**self._place, part=events.AnswerPart(type="audio", transcript=words)),
        )

    @property
    def part(self) -> ContentPart:
        return OutputAudio(transcript=self.words or "")


def _complete_text(slots: Sequence[SlotState], name: str | None) -> str | None:
    """What a text slot says, None while it is not complete."""
    return next(((slot.text or "").strip() for slot in slots if slot.name == name and slot.complete), None)
