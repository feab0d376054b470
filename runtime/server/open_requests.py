"""Requests over plain HTTP that are being answered: counted, and refused or ended when the server ends."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from runtime.server.http_errors import error_body, error_response
from runtime.server.server_sent import MEDIA_TYPE, sent

ENDED = ProtocolError(
    "the server ends, and this answer took longer than it may still; ask again later",
    code=errors.SHUTTING_DOWN,
    kind=errors.SERVER_ERROR,
)
CLOSED = ProtocolError(
    "the server ends and begins nothing new; ask again later", code=errors.SHUTTING_DOWN, kind=errors.SERVER_ERROR
)


class OpenRequests:
    """num_open: how many are being answered, up to the last byte of what is streamed."""

    def __init__(self) -> None:
        self.num_open = 0
        self._closed = False
        self._work: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """Refuse those to come."""
        self._closed = True

    def end(self) -> None:
        """Whatever is being made; clients are told."""
        for work in self._work:
            work.cancel()

    def counted(self, app: ASGIApp) -> ASGIApp:
        """ASGI middleware."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if self._closed:
                await error_response(CLOSED)(scope, receive, send)
                return
            self.num_open += 1
            try:
                await self._serve(app, scope, receive, send)
            finally:
                self.num_open -= 1

        return serve

    async def _serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        begun: list[Message] = []

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append(message)
            await send(message)

        work = asyncio.ensure_future(_awaited(app, scope, receive, noting))
        self._work.add(work)
        work.add_done_callback(self._work.discard)
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            work.cancel()
            await asyncio.wait([work])
            raise
        if work.cancelled():
            await _tell_end(begun, scope, receive, send)
        else:
            work.result()  # or what it raised


async def _awaited(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def _tell_end(begun: list[Message], scope: Scope, receive: Receive, send: Send) -> None:
    """With a status, if none was sent yet; else as the stream's last event. A file that is streamed breaks off."""
    if not begun:
        await error_response(ENDED)(scope, receive, send)
    elif any(MEDIA_TYPE in value.decode("latin-1") for name, value in begun[0]["headers"] if name == b"content-type"):
        last = sent({"type": "error", "error": error_body(ENDED)}).encode()
        await send({"type": "http.response.body", "body": last})
