"""What waits to be sent to one client. A newer partial takes the place of an unsent one; finals wait their turn."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from omnisdk.protocol.events import ServerEvent

Render = Callable[[], Awaitable[Sequence[ServerEvent]]]


class OutboxFullError(Exception):
    """The client does not read; finals have piled up."""


@dataclass
class _Entry:
    """partial_of: the response whose partial this is, None for finals."""

    render: Render
    partial_of: str | None = None


class Outbox:
    """A queue of things to render at the moment they are sent, which is when a partial learns what is news."""

    def __init__(self, max_unsent: int) -> None:
        self._max_unsent = max_unsent
        self._entries: deque[_Entry] = deque()
        self._partials: dict[str, _Entry] = {}  # the unsent one of each response
        self._filled = asyncio.Event()

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

    async def next(self) -> Sequence[ServerEvent]:
        """Wait for the first entry and make its events."""
        while not self._entries:
            self._filled.clear()
            await self._filled.wait()
        entry = self._entries.popleft()
        if entry.partial_of is not None:
            del self._partials[entry.partial_of]
        return await entry.render()

    def _append(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self._filled.set()
