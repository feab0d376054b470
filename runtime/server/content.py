"""The content part of an answer, written or spoken, told in the order that clients rely on.

written: content_part.added → output_text.delta …, .done → content_part.done
spoken: content_part.added → output_audio_transcript.delta … and output_audio.delta …, as they come →
output_audio.done → output_audio_transcript.done → content_part.done
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from omnisdk.protocol import errors, events
from omnisdk.protocol.audio import PCM, Encoding
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.items import ContentPart, OutputAudio, OutputText
from runtime.engine.output import SlotState, Sound, Speaker
from runtime.server.outbox import Outbox
from runtime.server.sound import Pace, wire_chunks

log = logging.getLogger(__name__)
GROWTH = 1.5  # each stretch of speech is so much longer than all before: one costs as much as saying all so far


class Content(Protocol):
    """Raises OutboxFullError. `words` is what is said, None until all of it is told."""

    @property
    def words(self) -> str | None: ...

    @property
    def told(self) -> dict[str, int]:
        """By slot, how many positions from its beginning were told: they cannot be taken back."""
        ...

    def begin(self) -> None: ...

    def take(self, slots: Sequence[SlotState]) -> None:
        """Tell what is complete and was not told yet."""

    def end(self) -> None:
        """Tell that nothing more comes, once."""

    @property
    def part(self) -> ContentPart:
        """As the finished item holds it."""
        ...


class GrowingText:
    """A text slot told while it forms: its longest beginning that will not change.

    slot: its name. early: whether anything is told before it is complete.
    """

    def __init__(self, slot: str | None, early: bool) -> None:
        self.words: str | None = None  # all of it, once it is complete
        self.told: dict[str, int] = {}
        self._slot, self._early, self._sent = slot, early, ""

    @property
    def so_far(self) -> str:
        """All that was told."""
        return self._sent

    def news(self, slots: Sequence[SlotState]) -> str:
        """What is to be told now, nothing perhaps."""
        slot = next((slot for slot in slots if slot.name == self._slot), None)
        if slot is None or self.words is not None or not (slot.complete or self._early):
            return ""
        if slot.complete:
            self.words = said = (slot.text or "").strip()
        else:
            said = settled_text(slot)
        if len(said) <= len(self._sent):
            return ""
        new, self._sent = said[len(self._sent) :], said
        self.told[slot.name] = slot.settled
        return new


def settled_text(slot: SlotState) -> str:
    """What a text slot says before its first masked position; blanks and half a character at the end are left out."""
    masked = next((span.start for span in slot.spans if span.masked), None)
    text = (slot.text or "")[:masked]
    return text.rstrip("\ufffd").strip() if slot.settled else ""


class Written:
    """slot: the name of the text slot it is read from. place: where the part stands, for the events about it.

    early: whether deltas come while the text forms.
    """

    def __init__(self, slot: str, place: dict[str, Any], outbox: Outbox, early: bool = False) -> None:
        self._text = GrowingText(slot, early)
        self._place, self._outbox = place, outbox
        self._done = False

    @property
    def words(self) -> str | None:
        return self._text.words

    @property
    def told(self) -> dict[str, int]:
        return self._text.told

    def begin(self) -> None:
        empty = events.AnswerPart(type="text", text="")
        self._outbox.put(events.ResponseContentPartAdded(**self._place, part=empty))

    def take(self, slots: Sequence[SlotState]) -> None:
        if new := self._text.news(slots):
            self._outbox.put(events.ResponseOutputTextDelta(**self._place, delta=new))
        if self._text.words is not None:
            self._tell_done()

    def end(self) -> None:
        self._tell_done()

    def _tell_done(self) -> None:
        if self._done:
            return
        self._done = True
        words = self._text.so_far
        self._outbox.put(
            events.ResponseOutputTextDone(**self._place, text=words),
            events.ResponseContentPartDone(**self._place, part=events.AnswerPart(type="text", text=words)),
        )

    @property
    def part(self) -> ContentPart:
        return OutputText(text=self._text.so_far)


class Spoken:
    """words: what is said, where it was given; else it is read from `slot`, if the recipe writes it at all.

    encoding, speed: of the sound as it is sent. note_spoken: told how many milliseconds more are sent.
    """

    def __init__(
        self,
        slot: str | None,
        words: str | None,
        place: dict[str, Any],
        outbox: Outbox,
        early: bool = False,
        *,
        encoding: Encoding = PCM,
        speed: float = 1.0,
        note_spoken: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._text = GrowingText(slot, early)
        self._encoding, self._note_spoken = encoding, note_spoken
        self._slot, self._given, self._place, self._outbox = slot, words, place, outbox
        self._voice: _Voice | None = None
        self._pace = Pace(speed)

    @property
    def words(self) -> str | None:
        return self._given if self._slot is None and self._voice is not None else self._text.words

    @property
    def told(self) -> dict[str, int]:
        return self._text.told | ({} if self._voice is None else self._voice.told)

    def begin(self) -> None:
        empty = events.AnswerPart(type="audio", transcript="")
        self._outbox.put(events.ResponseContentPartAdded(**self._place, part=empty))

    def take(self, slots: Sequence[SlotState]) -> None:
        self._tell_words(self._text.news(slots))
        for slot in slots:
            if slot.modality == "speech":
                self._say(slot)

    def _say(self, slot: SlotState) -> None:
        if self._voice is None:
            if slot.sound is None or (slot.speaker is None and not slot.complete):
                return
            self._voice = _Voice(slot)
            if self._slot is None and self._given is not None:
                self._tell_words(self._given)
        render = self._voice.say(slot)
        if render is not None:
            self._outbox.put_rendered(lambda: self._told_sound(lambda: self._pace.push(render())))

    def _tell_words(self, new: str) -> None:
        if new:
            self._outbox.put(events.ResponseOutputAudioTranscriptDelta(**self._place, delta=new))

    async def _told_sound(self, make: Callable[[], Sound | None]) -> Sequence[ServerEvent]:
        """The sound in pieces, made when its turn has come; an error in its place if it cannot be made."""
        try:
            sound = await asyncio.to_thread(make)
            chunks = [] if sound is None else await asyncio.to_thread(wire_chunks, sound, self._encoding)
        except Exception:  # whatever a model's voice raises: the words of the answer stand
            log.exception("a stretch of speech could not be made")
            message = "the sound of this answer could not be made; its text stands; ask again"
            return [
                events.Error(
                    error=events.ErrorDetails(
                        type=errors.SERVER_ERROR, code="speech_failed", message=message, param=None, event_id=None
                    )
                )
            ]
        if sound is not None:
            self._note_spoken(1000 * len(sound.pcm) / sound.sample_rate_hz)
        return [events.ResponseOutputAudioDelta(**self._place, delta=chunk) for chunk in chunks]

    def end(self) -> None:
        words = self.so_far
        self._outbox.put_rendered(lambda: self._told_sound(self._pace.end))
        self._outbox.put(
            events.ResponseOutputAudioDone(**self._place),
            events.ResponseOutputAudioTranscriptDone(**self._place, transcript=words),
            events.ResponseContentPartDone(**self._place, part=events.AnswerPart(type="audio", transcript=words)),
        )

    @property
    def so_far(self) -> str:
        return self.words if self.words is not None else self._text.so_far

    @property
    def part(self) -> ContentPart:
        return OutputAudio(transcript=self.so_far)


class _Voice:
    """What of a speech slot was said: in stretches where the model can say them, else whole."""

    def __init__(self, slot: SlotState) -> None:
        self.told: dict[str, int] = {}
        self._speaker: Speaker | None = None if slot.speaker is None else slot.speaker()
        self._due = 1 if self._speaker is None else self._speaker.hop
        self._ended = False

    def say(self, slot: SlotState) -> Callable[[], Sound | None] | None:
        """Makes the next stretch, from any thread; None if none is due."""
        if self._ended or not (slot.complete or (self._speaker is not None and slot.settled >= self._due)):
            return None
        self._ended, self._due = slot.complete, math.ceil(GROWTH * slot.settled)
        self.told[slot.name] = slot.settled
        if self._speaker is None:
            return lambda: slot.speech
        return partial(self._speaker.push, slot)
