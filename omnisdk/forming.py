"""How an answer forms: its partials, the newest first of all, and who waits for the next of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from omnisdk.partials import Partial, fold_partial
from omnisdk.protocol import events

MAX_KEPT_PREVIEWS = 31


class Forming:
    """Fed with the events of one answer. newest: the last partial that was shown; previews: how the picture formed."""

    def __init__(self) -> None:
        self.newest: Partial | None = None
        self.num_shown: int = 0
        self.first_at: float | None = None  # by the monotonic clock
        self.previews: list[Partial] = []
        self.ended: bool = False
        self._building = Partial()
        self._unseen = False  # whether the one that is being built holds something that was not shown
        self._waiters: list[asyncio.Future[None]] = []

    async def partials(self) -> AsyncIterator[Partial]:
        """The newest each time, until the end."""
        seen = 0
        while True:
            if self.num_shown > seen and self.newest is not None:
                seen = self.num_shown
                yield self.newest
            elif self.ended:
                break
            else:
                await self.change()

    def change(self) -> asyncio.Future[None]:
        """Done as soon as there is something new."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def wake(self) -> None:
        """There is something new."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def take(self, event: events.ServerEvent) -> None:
        """Into the partial that is being built; it is shown when a group of events is whole, or another begins."""
        before, self._building = self._building, fold_partial(self._building, event)
        if self._building is before or isinstance(event, events.OmniCanvasCreated):
            return
        if self._building.step != before.step and self._unseen:
            self._show(before)
        heard = isinstance(event, events.ResponseOutputAudioDelta)
        if isinstance(event, events.OmniProgress) or (heard and self.newest is not None):
            self._show(self._building)
        else:
            self._unseen = self._unseen or not heard  # sound alone is no partial

    def show_rest(self) -> None:
        """What was built and not shown yet; no more of this answer comes."""
        if self._unseen:
            self._show(self._building)

    def end(self) -> None:
        """Nothing is new any more."""
        self.ended = True
        self.wake()

    def begin_anew(self) -> None:
        """The next partials begin from nothing."""
        self._building, self._unseen = Partial(), False

    def _show(self, partial: Partial) -> None:
        if self.first_at is None:
            self.first_at = time.monotonic()
        if partial.preview is not None and (self.newest is None or partial.preview is not self.newest.preview):
            self._keep_preview(partial)
        self.newest, self._unseen = partial, False
        self.num_shown += 1
        self.wake()

    def _keep_preview(self, partial: Partial) -> None:
        if len(self.previews) >= MAX_KEPT_PREVIEWS:
            del self.previews[1::2]
        self.previews.append(partial)
