"""What waits to be sent to one client. A newer partial takes the place of an unsent one; finals wait their turn."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from omnisdk.protocol.events import ServerEvent

Render = Callable[[], Coroutine[Any, Any, Sequence[ServerEvent]]]


class OutboxFullError(Exception):
    """The client does not read; finals have piled up."""


@dataclass
class _Entry:
    """partial_of: the response whose partial this is, None for finals."""

    render: Render
    partial_of: str | None = None


class Outbox:
    """A queue of things to render at the moment they are sent, which is when a partial learns what is news.

    It outlives sockets: what was being made for one that is gone is given to the next.
    """

    def __init__(self, max_unsent: int) -> None:
        self._max_unsent = max_unsent
        self._entries: deque[_Entry] = deque()
        self._partials: dict[str, _Entry] = {}  # the unsent one of each response
        self._filled = asyncio.Event()
        self._making: asyncio.Task[Sequence[ServerEvent]] | None = None
        self._finished = False

    def put(self, *events: ServerEvent) -> None:
        """Finals, never dropped. Raises OutboxFullError."""

        async def as_they_are() -> Sequence[ServerEvent]:
            return events

        self.put_rendered(as_they_are)

    def put_rendered(self, render: Render) -> None:
        """Finals that need work to be made. Raises OutboxFullError."""
        if len(self._entries) >= self._max_unsent:
            raise OutboxFullError(f"{len(self._entries)} events are unsent")
        self._append(_Entry(render))

    def put_partial(self, response_id: str, render: Render) -> None:
        """The newest partial of a response; in the place of the last one if that is still unsent."""
        unsent = self._partials.get(response_id)
        if unsent is not None:
            unsent.render = render
            return
        entry = _Entry(render, partial_of=response_id)
        self._partials[response_id] = entry
        self._append(entry)

    async def next(self) -> Sequence[ServerEvent] | None:
        """Wait for the first entry and make its events; None when it is finished and empty.

        Nothing is lost when the waiting is cancelled. One at a time may wait.
        """
        while self._making is None:
            if self._entries:
                self._making = asyncio.ensure_future(self._pop().render())
            elif self._finished:
                return None
            else:
                self._filled.clear()
                await self._filled.wait()
        made = await asyncio.shield(self._making)
        self._making = None
        return made

    def finish(self) -> None:
        """No more comes than what is in it."""
        self._finished = True
        self._filled.set()

    def close(self) -> None:
        """Nobody is left to be told."""
        self._entries.clear()
        self._partials.clear()
        if self._making is not None:
            self._making.cancel()

    def _pop(self) -> _Entry:
        entry = self._entries.popleft()
        if entry.partial_of is not None:
            del self._partials[entry.partial_of]
        return entry

    def _append(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self._filled.set()
