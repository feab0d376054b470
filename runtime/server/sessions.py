"""All sessions of a server: those that are carried by a socket, and those that wait for another one."""

import asyncio
from collections.abc import Iterator

from omnisdk.protocol import errors, events
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.journal import JournalGapError
from runtime.server.live_session import GOODBYE, LiveSession


class Sessions:
    """window_s: how long one waits. max_waiting: how many may; the one that has waited longest makes room."""

    def __init__(self, window_s: float, max_waiting: int) -> None:
        self._window_s, self._max_waiting = window_s, max_waiting
        self._live: dict[str, LiveSession] = {}
        self._waiting: dict[str, asyncio.TimerHandle] = {}  # the longest first

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(list(self._live.values()))

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    def add(self, live: LiveSession) -> None:
        self._live[live.id] = live

    def remove(self, live: LiveSession) -> None:
        self._live.pop(live.id, None)
        self._no_longer_waits(live)

    def wait(self, live: LiveSession) -> None:
        """Its socket was lost; end it if no other comes."""
        loop = asyncio.get_running_loop()
        self._waiting[live.id] = loop.call_later(self._window_s, live.end, GOODBYE)
        if len(self._waiting) > self._max_waiting:
            self._live[next(iter(self._waiting))].end(GOODBYE)

    def resume(self, wanted: events.SessionResume, owner: str) -> LiveSession:
        """The session that is to be carried on, at once. Raises ProtocolError, or JournalGapError."""
        live = self._live.get(wanted.session_id)
        if live is None:
            raise ProtocolError(
                f"there is no session {wanted.session_id[:80]!r}, or no longer; begin a new one",
                code=errors.RESUME_EXPIRED,
                param="session_id",
            )
        if live.token is None or not live.token.accepts(wanted.resume_token, owner):
            raise ProtocolError(
                "this resume_token is not the newest one of the session, or came with another API key; begin a new "
                "session",
                code=errors.INVALID_RESUME_TOKEN,
                param="resume_token",
            )
        try:
            live.check_resumable(wanted)
        except JournalGapError:
            if not live.attached:
                live.end(GOODBYE)
            raise
        self._no_longer_waits(live)
        return live

    def _no_longer_waits(self, live: LiveSession) -> None:
        timer = self._waiting.pop(live.id, None)
        if timer is not None:
            timer.cancel()
