"""One websocket from its handshake to the session it carries."""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from starlette.responses import JSONResponse
from starlette.websockets import WebSocket

from omnisdk.protocol import errors, events, wire
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.journal import Journal, JournalGapError
from omnisdk.protocol.lifetime import Lifetime
from omnisdk.protocol.settings import OMNI_MSGPACK, OMNI_VERSION
from runtime.server.accounts import RateLimitError
from runtime.server.assets import AssetStore
from runtime.server.auth import Admitted, Door, Refusal
from runtime.server.dialect import OwnWords
from runtime.server.duplex.dialect import DuplexDialect
from runtime.server.event_socket import EventSocket, Sent
from runtime.server.http_errors import RETRY_AFTER_S, error_response
from runtime.server.live_session import GOING_AWAY, IDLE, SLOW_CONSUMER, LiveSession
from runtime.server.metrics import Metrics
from runtime.server.model_card import ModelCard
from runtime.server.outbox import Outbox
from runtime.server.resume_token import ResumeToken
from runtime.server.session import RealtimeSession, error_event
from runtime.server.sessions import Sessions
from runtime.server.settings import ServerSettings
from runtime.server.tracing import Tracing
from runtime.server.turn_times import TurnTimes

log = logging.getLogger(__name__)
SUBPROTOCOLS = (OMNI_MSGPACK, OMNI_VERSION, "realtime")
FIRST_EVENT_TIMEOUT_S = 10.0


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
        self._sessions = Sessions(settings.resume_window_s, settings.max_sessions)
        self.num_open = 0
        self._closed = False  # whether the server is about to end

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
        if self._closed:
            return refusal_response(
                Refusal(503, errors.SHUTTING_DOWN, "the server ends and begins no session; come back later")
            )
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
        socket = EventSocket(websocket, binary=chosen == OMNI_MSGPACK, sent=sent)
        if websocket.query_params.get("autostart") == "0":
            await self._serve_first_event(websocket, admitted, socket)
        else:
            await self._begin(websocket, admitted).carry(socket)

    async def _serve_first_event(self, websocket: WebSocket, admitted: Admitted, socket: EventSocket) -> None:
        """It says whether a session is gone on with or begun. Whoever may not go on with one can still begin one."""
        try:
            async with asyncio.timeout(FIRST_EVENT_TIMEOUT_S):
                while wanted := _resume_of(first := await socket.frame()):
                    if (live := await self._resumed(socket, wanted, admitted.account.name)) is not None:
                        break
        except TimeoutError:
            await socket.close(IDLE.code, f"no event came in {FIRST_EVENT_TIMEOUT_S:.0f} s")
            return
        if wanted is not None and live is not None:
            await live.carry(socket, resumed=wanted)
        elif first is not None:
            await self._begin(websocket, admitted).carry(socket, first=first)

    async def _resumed(self, socket: EventSocket, wanted: events.SessionResume, owner: str) -> LiveSession | None:
        try:
            return self._sessions.resume(wanted, owner)
        except JournalGapError:
            await socket.tell(events.SessionResyncRequired(session_id=wanted.session_id, reason="journal_gap"))
        except ProtocolError as error:
            await socket.tell(error_event(error, wanted.event_id))
        return None

    def _begin(self, websocket: WebSocket, admitted: Admitted) -> LiveSession:
        offered = websocket.scope["subprotocols"]
        opted_in = (
            select_subprotocol(offered) in (OMNI_MSGPACK, OMNI_VERSION) or websocket.query_params.get("omni") == "1"
        )
        duplex = websocket.query_params.get("duplex") == "1"
        outbox = Outbox(self._settings.max_unsent_events)
        live = LiveSession(
            outbox,
            Lifetime(self._settings.idle_timeout_s, self._settings.max_session_s, time.monotonic()),
            ResumeToken(admitted.account.name) if self._settings.resume_window_s > 0 else None,
            Journal(self._settings.max_journal_bytes),
            admitted.account,
            on_away=self._sessions.wait,
            on_end=self._sessions.remove,
        )
        live.session = RealtimeSession(
            admitted.account,
            self._model,
            outbox,
            self._assets,
            asset_url=_asset_base(websocket).__add__,
            opted_in=opted_in,
            dialect=DuplexDialect(speaks=self._model.speaks) if duplex else OwnWords(),
            on_overflow=lambda: live.end(SLOW_CONSUMER),
            on_socket_event=live.take_socket_event,
            on_opted_in=live.survive,
        )
        if admitted.settings is not None:
            live.session.configure(admitted.settings)
        self._sessions.add(live)
        live.open(survives=duplex)
        return live

    def go_away(self, time_left_s: float) -> None:
        """The server ends: no new sessions, those that are open are told."""
        self._closed = True
        for live in self._sessions:
            live.go_away(time_left_s, "shutdown")

    def end(self) -> None:
        """All sessions, whatever they are doing."""
        for live in self._sessions:
            live.end(GOING_AWAY)

    @property
    def answering(self) -> bool:
        """Whether any answer is being made that a client waits for."""
        return any(live.attached and live.session.answering for live in self._sessions)


def select_subprotocol(offered: Sequence[str]) -> str | None:
    """The extension's if it is offered, binary first, then the plain one. Clients that offer none, or others, come in
    as well.
    """
    return next((name for name in SUBPROTOCOLS if name in offered), None)


def refusal_response(refused: Refusal) -> JSONResponse:
    kind = "server_error" if refused.status >= 500 else errors.INVALID_REQUEST
    body = {"error": {"type": kind, "code": refused.code, "message": refused.message, "param": None}}
    return JSONResponse(
        body, refused.status, headers={"Retry-After": str(RETRY_AFTER_S)} if refused.status == 503 else None
    )


@contextmanager
def watched(metrics: Metrics, tracing: Tracing | None) -> Iterator[Sent]:
    """Sees the events that are sent over one socket."""
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


def _resume_of(frame: str | bytes | None) -> events.SessionResume | None:
    """None for every other frame, wrong ones too: a session tells what is wrong with them."""
    try:
        event = None if frame is None else wire.decode_client_event(frame)
    except ProtocolError:
        return None
    return event if isinstance(event, events.SessionResume) else None


def _asset_base(websocket: WebSocket) -> str:
    scheme = "https" if websocket.url.scheme == "wss" else "http"
    return f"{scheme}://{websocket.headers.get('host', websocket.url.netloc)}/v1/assets/"
