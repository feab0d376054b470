"""Events over one websocket, in the form that was negotiated."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected, WebSocketState

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.settings import OMNI_MSGPACK
from runtime.server import frames
from runtime.server.outbox import Outbox
from runtime.server.responses import new_id

Sent = Callable[[ServerEvent], None]
CLOSE_TIMEOUT_S = 5.0  # a client that does not read cannot be told either
GOODBYE = 1000
GONE = (WebSocketDisconnect, WebSocketDisconnected)  # what sending raises when the client is gone; it is read as well


class EventSocket:
    """binary: MessagePack in the place of JSON. sent: sees each event once it is sent.

    said_goodbye: whether the client closed it of its own will.
    """

    def __init__(self, websocket: WebSocket, *, binary: bool, sent: Sent = lambda _: None) -> None:
        self._websocket = websocket
        self.sent = sent
        self._binary = binary
        self.said_goodbye = False

    async def frame(self) -> str | bytes | None:
        """The next one, None when the client is gone."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self.said_goodbye = message.get("code") == GOODBYE
            return None
        text: str | None = message.get("text")
        return message["bytes"] if text is None else text

    def check_form(self, frame: str | bytes) -> None:
        """Raises ProtocolError for a form that was not negotiated."""
        if isinstance(frame, bytes) and not self._binary:
            raise _binary_refused(frame)

    def encode(self, event: ServerEvent) -> str | bytes:
        return frames.framed(event, self._binary)

    async def send(self, frame: str | bytes) -> None:
        """Raises one of GONE."""
        if isinstance(frame, bytes):
            await self._websocket.send_bytes(frame)
        else:
            await self._websocket.send_text(frame)

    async def tell(self, event: ServerEvent) -> None:
        """An event of this socket alone, if the client is there and reads."""
        event.event_id = new_id("event")
        with suppress(*GONE, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.send(self.encode(event))

    async def close(self, code: int, reason: str | None = None) -> None:
        """Say why, if anyone is still there to hear it."""
        if WebSocketState.DISCONNECTED in (self._websocket.client_state, self._websocket.application_state):
            return
        with suppress(*GONE, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._websocket.close(code, reason)


async def send_events(socket: EventSocket, outbox: Outbox, framed: Callable[[ServerEvent], str | bytes]) -> None:
    """Until all is told. framed: makes the frame of an event. Raises one of GONE."""
    while (told := await outbox.next()) is not None:
        for event, frame in [(event, framed(event)) for event in told]:  # all of them before the first is sent
            await socket.send(frame)
            socket.sent(event)


def _binary_refused(frame: bytes) -> ProtocolError:
    return ProtocolError(
        f"a binary frame of {len(frame)} bytes came; events are JSON in text frames, audio and pictures in base64; "
        f"for MessagePack in binary frames, connect with subprotocol {OMNI_MSGPACK}",
        code=errors.BINARY_NOT_NEGOTIATED,
    )
