"""What a session has sent and its client may not have received, so that a new socket can be told it again."""

from __future__ import annotations

from collections import deque

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.events import UNNUMBERED, ServerEvent, UnknownEvent


class JournalGapError(Exception):
    """Events that were not received are no longer kept."""


class Journal:
    """Numbers events from 1 on and keeps them until they are acknowledged, at most `max_bytes` of them.

    More than that pushes out the oldest: they are missed only by a client that had not received them either.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: deque[tuple[ServerEvent, int]] = deque()
        self._first = 1  # the number of the first event that is kept
        self.num_bytes: int = 0
        self.last: int = 0

    def number(self, event: ServerEvent) -> bool:
        """Give an event the next number. False if it is one that has none."""
        if isinstance(event, (*UNNUMBERED, UnknownEvent)):
            return False
        self.last += 1
        event.server_event_seq = self.last
        return True

    def keep(self, event: ServerEvent, num_bytes: int) -> None:
        """The event that was numbered last; so large was its frame."""
        self._kept.append((event, num_bytes))
        self.num_bytes += num_bytes
        while self.num_bytes > self._max_bytes:
            self._drop()

    def acknowledge(self, seq: int) -> None:
        """Everything up to this number has come. Raises ProtocolError for a number that was not sent yet."""
        if seq > self.last:
            raise ProtocolError(
                f"server_event_seq {seq} came; the newest event has {self.last}; acknowledge what has come",
                code=errors.INVALID_EVENT_ACK,
                param="server_event_seq",
            )
        while self._kept and self._first <= seq:
            self._drop()

    def after(self, seq: int) -> list[ServerEvent]:
        """All events after this number. Raises JournalGapError, or ProtocolError for a number that was not sent yet."""
        if seq > self.last:
            raise ProtocolError(
                f"last_received_server_event_seq {seq} came; the newest event has {self.last}; begin a new session",
                code=errors.RESUME_CONFLICT,
                param="last_received_server_event_seq",
            )
        if seq < self._first - 1:
            raise JournalGapError(f"events {seq + 1} to {self._first - 1} are no longer kept")
        return [event for event, _ in self._kept][seq - self._first + 1 :]

    def _drop(self) -> None:
        _, num_bytes = self._kept.popleft()
        self.num_bytes -= num_bytes
        self._first += 1
