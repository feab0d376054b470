"""A call that comes later, unless it is put off."""

import asyncio
from collections.abc import Callable


class IdleTimer:
    """On the event loop. on_idle: called once the time is over."""

    def __init__(self, on_idle: Callable[[], None]) -> None:
        self._on_idle = on_idle
        self._call: asyncio.TimerHandle | None = None

    def begin(self, delay_s: float) -> None:
        """From now on, whatever was begun before."""
        self.stop()
        self._call = asyncio.get_running_loop().call_later(delay_s, self._on_idle)

    def stop(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
