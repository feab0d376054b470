"""What a client has sent and cannot be sure of, so that it can be sent again over another connection."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator

from omnisdk.protocol.events import (
    ClientEvent,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCommit,
)
from omnisdk.protocol.limits import BYTES_PER_SECOND

MAX_AUDIO_BYTES = 60 * BYTES_PER_SECOND  # twice the longest turn
ENDS_A_TURN = (InputAudioBufferCommit, InputAudioBufferClear)


class SentLog:
    """Events in order until the server is known to have taken them: it takes them in order, so one answer tells of all
    before. Audio is kept until its turn is over, which a session that is begun anew needs from its beginning; of sound
    that no client ever commits, the last minute.

    Event ids end in a number that grows: `client_event_7`.
    """

    def __init__(self) -> None:
        self._events: list[ClientEvent] = []
        self._num_audio_bytes = 0

    def __iter__(self) -> Iterator[ClientEvent]:
        return iter(list(self._events))

    def __contains__(self, event_id: object) -> bool:
        return any(event.event_id == event_id for event in self._events)

    def note(self, event: ClientEvent) -> None:
        """It is sent; one that was let go may be noted again."""
        insort(self._events, event, key=_number)
        if isinstance(event, InputAudioBufferAppend):
            self._num_audio_bytes += len(event.audio)
            if self._num_audio_bytes > MAX_AUDIO_BYTES:
                self._forget_oldest_audio()

    def answered(self, event_id: str) -> None:
        """The server has answered the event of this id."""
        at = number_of(event_id)
        ended = any(isinstance(event, ENDS_A_TURN) for event in self._events if _number(event) == at)
        self._events = [
            event
            for event in self._events
            if _number(event) > at or (isinstance(event, InputAudioBufferAppend) and not ended)
        ]
        if ended:
            appends = (event for event in self._events if isinstance(event, InputAudioBufferAppend))
            self._num_audio_bytes = sum(len(event.audio) for event in appends)

    def cleared(self) -> None:
        """The server has cleared its input buffer, as the oldest clear that is not answered asked."""
        oldest = next((event for event in self._events if isinstance(event, InputAudioBufferClear)), None)
        if oldest is not None and oldest.event_id is not None:
            self.answered(oldest.event_id)

    def forget_audio(self) -> None:
        """It is not to be sent again."""
        self._events = [event for event in self._events if not isinstance(event, InputAudioBufferAppend)]
        self._num_audio_bytes = 0

    def after(self, event_id: str | None) -> list[ClientEvent]:
        """What was sent after the event of this id; None for all."""
        at = -1 if event_id is None else number_of(event_id)
        return [event for event in self._events if _number(event) > at]

    def _forget_oldest_audio(self) -> None:
        oldest = next(event for event in self._events if isinstance(event, InputAudioBufferAppend))
        self._events.remove(oldest)
        self._num_audio_bytes -= len(oldest.audio)


def number_of(event_id: str) -> int:
    return int(event_id.rpartition("_")[2])


def _number(event: ClientEvent) -> int:
    assert event.event_id is not None
    return number_of(event.event_id)
