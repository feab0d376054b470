"""What comes before a session: uvicorn's protocols, made to let go of those who never ask for anything."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

REQUEST_TIMEOUT_S = 10.0
REFUSED = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"


class Http(H11Protocol):
    """A connection on which no whole request has come in time is closed: it would take a socket for nothing."""

    request_timeout_s = REQUEST_TIMEOUT_S

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        asyncio.get_running_loop().call_later(self.request_timeout_s, self._give_up)

    def _give_up(self) -> None:
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        if cycle is None and self.transport.get_protocol() is self:
            self.transport.close()


class Websocket(WebSocketsSansIOProtocol):
    """A request that cannot become a websocket, such as a POST that asks for one, is refused, not kept waiting."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        problem: Any = self.conn.handshake_exc
        if problem is not None and not self.handshake_initiated and not self.transport.is_closing():
            reason = f"{problem.__cause__ or problem}; a websocket begins with GET".encode()
            self.transport.write(REFUSED % (len(reason), reason))
            self.transport.close()
