"""A websocket server of this machine, in a thread of the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from omnisdk.errors import OmniError
from omnisdk.protocol.limits import MAX_INBOUND_FRAME_BYTES
from omnisdk.protocol.settings import OMNI_VERSION


class SocketServer:
    """Entered, it serves `session` on a free port of 127.0.0.1 to everyone who connects; left, it is gone."""

    def __init__(self, session: Callable[[ServerConnection], Awaitable[None]]) -> None:
        self._serve_session = session
        self._port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """For Client and AsyncClient. Raises OmniError before it is entered."""
        if not self._port:
            raise OmniError(f"{type(self).__name__} is not running; use: with {type(self).__name__}(...) as runtime")
        return f"ws://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._closing is not None
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        self._port = 0

    async def _serve(self) -> None:
        self._loop, self._closing = asyncio.get_running_loop(), asyncio.Event()
        async with serve(
            self._serve_session,
            "127.0.0.1",
            0,
            select_subprotocol=_chosen,
            compression=None,
            max_size=MAX_INBOUND_FRAME_BYTES,
        ) as server:
            self._port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._closing.wait()


def _chosen(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The extension in JSON for who knows it, nothing for stock clients."""
    return Subprotocol(OMNI_VERSION) if OMNI_VERSION in offered else None
