"""One websocket from its handshake to its end."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.settings import OMNI_MSGPACK, OMNI_VERSION
from runtime.server.accounts import Account, RateLimitError
from runtime.server.assets import AssetStore
from runtime.server.auth import Admitted, Door, Refusal
from runtime.server.frames import framed
from runtime.server.http_errors import error_response
from runtime.server.metrics import Metrics
from runtime.server.model_card import ModelCard
from runtime.server.outbox import Outbox, OutboxFullError
from runtime.server.responses import new_id
from runtime.server.session import RealtimeSession
from runtime.server.settings import ServerSettings
from runtime.server.tracing import Tracing
from runtime.server.turn_times import TurnTimes

log = logging.getLogger(__name__)
Sent = Callable[[ServerEvent], None]
SUBPROTOCOLS = (OMNI_MSGPACK, OMNI_VERSION, "realtime")
SLOW_CONSUMER = 1013
INTERNAL_ERROR = 1011
CLOSE_TIMEOUT_S = 5.0  # a client that does not read cannot be told either


class Connections:
    """Opens a session for every socket that may come in."""

    def __init__(
        self,
        model: ModelCard,
        settings: ServerSettings,
        assets: AssetStore,
        door: Door,
        metrics: Metrics,
        tracing: Tracing | None,
    ) -> None:
        self._door, self._metrics, self._tracing = door, metrics, tracing
        self._model = model
        self._settings = settings
        self._assets = assets
        self.num_open = 0

    async def serve(self, websocket: WebSocket) -> None:
        admitted = self._admitted(websocket)
        if not isinstance(admitted, Admitted):
            await websocket.send_denial_response(admitted)
            return
        self.num_open += 1
        admitted.account.num_sessions += 1
        try:
            with self._metrics.connection(), watched(self._metrics, self._tracing) as sent:
                await self._serve(websocket, admitted, sent)
        finally:
            self.num_open -= 1
            admitted.account.num_sessions -= 1

    def _admitted(self, websocket: WebSocket) -> Admitted | JSONResponse:
        """Or why not."""
        if self.num_open >= self._settings.max_sessions:
            return refusal_response(
                Refusal(503, "too_many_sessions", f"{self.num_open} sessions are open, the most allowed; come later")
            )
        admitted = self._door.admit_socket(websocket.headers, websocket.scope["subprotocols"])
        if isinstance(admitted, Refusal):
            return refusal_response(admitted)
        try:
            admitted.account.check_sessions()
        except RateLimitError as error:
            return error_response(error)
        return admitted

    async def _serve(self, websocket: WebSocket, admitted: Admitted, sent: Sent) -> None:
        chosen = select_subprotocol(websocket.scope["subprotocols"])
        await websocket.accept(subprotocol=chosen)
        binary = chosen == OMNI_MSGPACK
        outbox = Outbox(self._settings.max_unsent_events)
        overflow = asyncio.Event()
        session = RealtimeSession(
            admitted.account,
            self._model,
            outbox,
            self._assets,
            asset_url=_asset_base(websocket).__add__,
            opted_in=chosen in (OMNI_MSGPACK, OMNI_VERSION) or websocket.query_params.get("omni") == "1",
            on_overflow=overflow.set,
        )
        if admitted.settings is not None:
            session.configure(admitted.settings)
        tasks = [
            asyncio.create_task(_read(websocket, session, admitted.account, binary), name=f"{session.id} reads"),
            asyncio.create_task(send_events(websocket, outbox, binary, sent), name=f"{session.id} sends"),
            asyncio.create_task(overflow.wait(), name=f"{session.id} overflows"),
        ]
        session.open()
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            session.close()
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        await _close(websocket, overflow.is_set(), ended)


def select_subprotocol(offered: Sequence[str]) -> str | None:
    """The extension's if it is offered, binary first, then the plain one. Clients that offer none, or others, come in
    as well.
    """
    return next((name for name in SUBPROTOCOLS if name in offered), None)


def refusal_response(refused: Refusal) -> JSONResponse:
    kind = "server_error" if refused.status >= 500 else errors.INVALID_REQUEST
    body = {"error": {"type": kind, "code": refused.code, "message": refused.message, "param": None}}
    return JSONResponse(body, refused.status, headers={"Retry-After": "5"} if refused.status == 503 else None)


async def _read(websocket: WebSocket, session: RealtimeSession, account: Account, binary: bool) -> None:
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        frame = message["bytes"] if text is None else text
        try:
            account.check("bytes")
            account.take(bytes=len(frame))
            if text is None and not binary:
                raise _binary_refused(message["bytes"])
        except ProtocolError as error:
            session.tell_error(error)
        else:
            await session.receive(frame)


def _binary_refused(frame: bytes) -> ProtocolError:
    return ProtocolError(
        f"a binary frame of {len(frame)} bytes came; events are JSON in text frames, audio and pictures in base64; "
        f"for MessagePack in binary frames, connect with subprotocol {OMNI_MSGPACK}",
        code=errors.BINARY_NOT_NEGOTIATED,
    )


@contextmanager
def watched(metrics: Metrics, tracing: Tracing | None) -> Iterator[Sent]:
    """Sees the events that one session sends."""
    times = TurnTimes(metrics.first_event_s.observe, metrics.silence_s.observe)
    tools = None if tracing is None else tracing.tools()

    def sent(event: ServerEvent) -> None:
        times.sent(event, metrics.clock())
        if tools is not None:
            tools.sent(event)

    try:
        yield sent
    finally:
        if tools is not None:
            tools.close()


async def send_events(websocket: WebSocket, outbox: Outbox, binary: bool, sent: Sent = lambda _: None) -> None:
    """Until the client is gone. binary: MessagePack in the place of JSON. sent: sees each event."""
    with suppress(WebSocketDisconnect):  # the reading side sees it too
        while True:
            for event in await outbox.next():
                event.event_id = new_id("event")
                frame = framed(event, binary)
                await (websocket.send_text(frame) if isinstance(frame, str) else websocket.send_bytes(frame))
                sent(event)


async def _close(websocket: WebSocket, overflowed: bool, ended: Sequence[object]) -> None:
    """Say why, if anyone is still there to hear it."""
    failures = [result for result in ended if isinstance(result, Exception)]
    slow = overflowed or any(isinstance(failure, OutboxFullError) for failure in failures)
    for failure in failures:
        if not isinstance(failure, OutboxFullError):
            log.error("a connection failed", exc_info=failure)
    code, reason = (SLOW_CONSUMER, "events were not read fast enough") if slow else (INTERNAL_ERROR, "internal error")
    if WebSocketState.DISCONNECTED not in (websocket.client_state, websocket.application_state):
        with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await websocket.close(code if slow or failures else 1000, reason if slow or failures else None)


def _asset_base(websocket: WebSocket) -> str:
    scheme = "https" if websocket.url.scheme == "wss" else "http"
    return f"{scheme}://{websocket.headers.get('host', websocket.url.netloc)}/v1/assets/"
