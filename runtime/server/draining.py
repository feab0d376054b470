"""How a server ends: nothing new begins, what is being made comes to its end as long as it may, the rest is ended."""

import asyncio
import time
from collections.abc import Callable

from runtime.server.connection import Connections
from runtime.server.event_socket import CLOSE_TIMEOUT_S
from runtime.server.open_requests import OpenRequests

POLL_S = 0.02


class Draining:
    """drain_s: how long answers may still take. begun: whether the server is about to end."""

    def __init__(self, connections: Connections, requests: OpenRequests, drain_s: float) -> None:
        self._connections, self._requests, self._drain_s = connections, requests, drain_s
        self.begun = False

    async def drain(self, hurried: Callable[[], bool]) -> None:
        """hurried: whether to give up waiting."""
        self.begun = True
        self._connections.go_away(self._drain_s)
        self._requests.close()
        await _until(lambda: hurried() or not self._answering, self._drain_s)
        self._connections.end()
        self._requests.end()
        await _until(lambda: hurried() or not self._open, CLOSE_TIMEOUT_S)

    @property
    def _answering(self) -> bool:
        return self._connections.answering or bool(self._requests.num_open)

    @property
    def _open(self) -> int:
        return self._connections.num_open + self._requests.num_open


async def _until(condition: Callable[[], bool], timeout_s: float) -> None:
    ends_at = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < ends_at:  # noqa: ASYNC110 - many places would have to tell
        await asyncio.sleep(POLL_S)
