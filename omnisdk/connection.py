"""The socket of a session, and the next one when it is lost: events out in their order, events in once each."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection

from omnisdk.connecting import CONNECT_TIMEOUT_S, SUBPROTOCOLS, Wire, connected, realtime_url
from omnisdk.errors import ConnectFailed, ConnectionLost, OmniError, ServerError, SettingsError
from omnisdk.protocol import events, wire
from omnisdk.protocol.sent_log import SentLog
from omnisdk.protocol.settings import OMNI_MSGPACK
from omnisdk.receipts import Receipts, answers
from omnisdk.reconnecting import MAY_COME_BACK, Lost, Reconnect, waiting_url

MAX_UNSENT_EVENTS = 64
ACKNOWLEDGED_EVERY = 32  # events of the server, and the end of each answer


class Connection:
    """Carries the events of one session. Made again when it breaks, as `reconnect` says: with the session that the
    server kept, or with a new one.

    take: sees each event once. retold: of what is unsure to have arrived, what a new session is told before that is
    sent again, each event with what answers it. lose: no connection can be had any more.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        form: Wire,
        reconnect: Reconnect | None,
        take: Callable[[events.ServerEvent], None],
        retold: Callable[[SentLog], Iterator[tuple[events.ClientEvent, str]]],
        lose: Callable[[ConnectionLost], None],
    ) -> None:
        self.url: str = realtime_url(url)
        if form not in SUBPROTOCOLS:
            raise SettingsError(f"wire={form!r} came; allowed are {', '.join(SUBPROTOCOLS)}")
        if reconnect is not None and not isinstance(reconnect, Reconnect):
            raise SettingsError(f"reconnect={reconnect!r} came; give Reconnect(...), or None for not at all")
        self.lost: ConnectionLost | None = None  # once no other can be had
        self._give, self._retold, self._give_up = take, retold, lose
        self._api_key = api_key
        self._form: Wire = form
        self._reconnect = reconnect
        self._socket: ClientConnection | None = None
        self.stands: bool = False  # whether there is a connection, as far as is known here
        self._living: asyncio.Task[None] | None = None
        self._session_id = ""
        self._resume_token: str | None = None  # of a server whose sessions survive their socket
        self._seen_seq = self._acknowledged_seq = 0  # of the server's numbered events
        self._event_ids = (f"client_event_{number}" for number in itertools.count(1))
        self._sent = SentLog()
        self._outgoing: asyncio.Queue[str | bytes] = asyncio.Queue()
        self._has_room = asyncio.Event()
        self._receipts = Receipts()
        self._whole = True  # whether the server's session knows all of the conversation

    async def open(self) -> None:
        """Raises ConnectFailed."""
        if self._living is not None:
            raise OmniError("a session is opened once; open another one: client.session(...)")
        self._socket = await connected(self.url, self._api_key, self._form)
        self._living = asyncio.create_task(self._live(self._socket))

    async def close(self) -> None:
        """Whatever is awaited ends with ConnectionLost."""
        self._lose("the session was closed here")
        try:
            if self._living is not None:
                self._living.cancel()
                await asyncio.gather(self._living, return_exceptions=True)
            if self._socket is not None:
                await self._socket.close()
        finally:  # nothing stays open where this is cancelled on its way
            if self._socket is not None:
                self._socket.transport.abort()

    # Sending

    def new_id(self) -> str:
        """For an event that must be known by its id before it is posted."""
        return next(self._event_ids)

    def post(self, event: events.ClientEvent) -> None:
        """Send it as soon as may be, with an id if it has none; nothing once the connection is lost.

        Raises OmniError for what cannot be sent, and before the connection is opened.
        """
        if self._living is None or self._socket is None:
            raise OmniError("the session is not open; use: async with client.session() as session")
        if self.lost is None:
            event.event_id = event.event_id or self.new_id()
            frame = _encoded(self._socket, event)
            self._sent.note(event)
            self._outgoing.put_nowait(frame)

    def forget_audio(self) -> None:
        """What was said so far is not to be sent again."""
        self._sent.forget_audio()

    async def receipt(self, event: events.ClientEvent, answered_by: str) -> events.ServerEvent:
        """Send an event and wait for the server's answer to it. Raises ServerError or ConnectionLost."""
        self.raise_if_lost()
        event.event_id = self.new_id()
        receipt = self._receipts.expect(event.event_id, answered_by)
        self.post(event)
        try:
            return await receipt.answer
        finally:
            self._receipts.close(receipt)

    async def room(self) -> None:
        """Wait until the socket has taken most of what was posted. Raises ConnectionLost."""
        if self._outgoing.qsize() > MAX_UNSENT_EVENTS:
            self._has_room.clear()
            await self._has_room.wait()
        self.raise_if_lost()

    def answered(self, event_id: str) -> None:
        """The server has answered this event, so it need not be sent again."""
        self._sent.answered(event_id)

    def refused(self, event_id: str | None, error: ServerError) -> bool:
        """Whether somebody waited for an answer to this event, or to any if None; whoever did gets the error."""
        return self._receipts.refused(event_id, error)

    def raise_if_lost(self) -> None:
        """Raises ConnectionLost."""
        if self.lost is not None:
            raise self.lost

    async def _transmit(self, socket: ClientConnection) -> None:
        with suppress(websockets.ConnectionClosed):  # the receiving side tells
            while True:
                await socket.send(await self._outgoing.get())
                if self._outgoing.qsize() <= MAX_UNSENT_EVENTS:
                    self._has_room.set()

    def _send_again(self, socket: ClientConnection, unsure: Sequence[events.ClientEvent]) -> None:
        """In the place of what waits to be sent, which is among it."""
        self._socket, self._outgoing = socket, asyncio.Queue()
        for event in unsure:
            self._outgoing.put_nowait(_encoded(socket, event))

    # Receiving

    async def _live(self, socket: ClientConnection) -> None:
        """Over one connection after the other, until none can be had."""
        again: ClientConnection | None = socket
        while again is not None:
            lost = await self._carry(again)
            again, why = await self._regain(lost)
        self._lose(why, lost.cause)

    async def _carry(self, socket: ClientConnection) -> Lost:
        transmitting = asyncio.create_task(self._transmit(socket))
        self.stands = True
        try:
            async for frame in socket:
                self._take(wire.decode_server_event(frame))
                await asyncio.sleep(0)  # a burst of frames must not keep loops over partials from their turn
            return Lost(f"the server closed the connection{_reason(socket)}", socket.close_code in MAY_COME_BACK)
        except websockets.ConnectionClosed as closed:
            return Lost(f"the connection broke ({closed})", socket.close_code in MAY_COME_BACK)
        except (OmniError, ValueError) as error:
            return Lost(f"the server sent something that cannot be read ({error})", False)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait forever
            return Lost(f"an event could not be taken in ({type(error).__name__}: {error})", False, error)
        finally:
            self.stands = False
            transmitting.cancel()
            await asyncio.gather(transmitting, return_exceptions=True)

    def _take(self, event: events.ServerEvent) -> None:
        if not self._is_news(event):
            return
        if (answered := self._receipts.settle(event)) is not None:
            self._sent.answered(answered)
        match event:
            case events.SessionCreated():
                self._session_id = str(event.session.id)
                self._resume_token = None if event.resume_token is msgspec.UNSET else event.resume_token
            case events.InputAudioBufferCleared():
                self._sent.cleared()
            case events.Error() if (refused := event.error.event_id) is not None and refused in self._sent:
                self._sent.answered(refused)
        self._give(event)

    def _is_news(self, event: events.ServerEvent) -> bool:
        """False for what came before and was told again. What came is acknowledged now and then."""
        seq = msgspec.UNSET if isinstance(event, events.UnknownEvent) else event.server_event_seq
        if seq is msgspec.UNSET:
            return True
        if seq <= self._seen_seq:
            return False
        self._seen_seq = seq
        if isinstance(event, events.ResponseDone) or seq - self._acknowledged_seq >= ACKNOWLEDGED_EVERY:
            self._acknowledged_seq = seq
            assert self._socket is not None
            self._outgoing.put_nowait(_encoded(self._socket, events.SessionEventAck(server_event_seq=seq)))
        return True

    # Losing it

    async def _regain(self, lost: Lost) -> tuple[ClientConnection | None, str]:
        """Another socket on which the session goes on, or why there is none."""
        if self._reconnect is None or self._resume_token is None or not lost.may_come_back:
            return None, lost.why
        tried: object = "no try was made"
        for pause_s in self._reconnect.pauses_s():
            await asyncio.sleep(pause_s)
            try:
                socket = await connected(waiting_url(self.url), self._api_key, self._form)
            except ConnectFailed as failed:
                tried = failed
                continue
            try:
                await asyncio.wait_for(self._go_on(socket), CONNECT_TIMEOUT_S)
            except (websockets.ConnectionClosed, TimeoutError) as failed:
                tried = failed
                await socket.close()
            except (OmniError, ValueError) as refused:
                await socket.close()
                return None, f"{lost.why}, and a new session could not be told the conversation ({refused})"
            except BaseException:  # a cancel too
                socket.transport.abort()
                raise
            else:
                return socket, ""
        return None, f"{lost.why}, and no other could be had in {self._reconnect.attempts} tries ({tried})"

    async def _go_on(self, socket: ClientConnection) -> None:
        """With the session that was lost, or else with a new one that is told the conversation."""
        if self._whole and await self._resumed(socket):
            return
        self._whole = False
        await self._begin_anew(socket)
        self._whole = True
        self._send_again(socket, list(self._sent))

    async def _resumed(self, socket: ClientConnection) -> bool:
        """Whether the server still has the session, which then goes on where it was."""
        wanted = events.SessionResume(
            session_id=self._session_id,
            resume_token=str(self._resume_token),
            last_received_server_event_seq=self._seen_seq,
        )
        await socket.send(_encoded(socket, wanted))
        resumed = wire.decode_server_event(await socket.recv())
        if not isinstance(resumed, events.SessionResumed):
            return False
        self._resume_token = resumed.resume_token
        self._send_again(socket, self._sent.after(resumed.last_client_event_id))
        return True

    async def _begin_anew(self, socket: ClientConnection) -> None:
        """A new session of the server's, told what the lost one knew."""
        self._seen_seq = self._acknowledged_seq = 0
        for event, answered_by in self._retold(self._sent):
            event.event_id = self.new_id()
            await self._exchange(socket, event, answered_by)
        gone = ConnectionLost("the answer that was to be changed had to be begun anew")
        self._receipts.fail(gone, but=self._sent)

    async def _exchange(self, socket: ClientConnection, event: events.ClientEvent, answered_by: str) -> None:
        """Send an event before the session goes on, and take what comes until it is answered. Raises ServerError."""
        await socket.send(_encoded(socket, event))
        while True:
            came = wire.decode_server_event(await socket.recv())
            self._take(came)
            if isinstance(came, events.Error) and came.error.event_id == event.event_id:
                raise ServerError(came.error.message, code=came.error.code, param=came.error.param)
            if answers(came, answered_by):
                return

    def _lose(self, why: str, cause: Exception | None = None) -> None:
        """End everything that is awaited with ConnectionLost."""
        if self.lost is not None:
            return
        self.lost = ConnectionLost(f"{why}; open a new session and ask again")
        self.lost.__cause__ = cause
        self._has_room.set()
        self._receipts.fail(self.lost)
        self._give_up(self.lost)


def _encoded(socket: ClientConnection, event: events.ClientEvent) -> str | bytes:
    """Raises OmniError."""
    packs = socket.subprotocol == OMNI_MSGPACK
    try:
        return wire.pack(event) if packs else wire.encode(event)
    except (ValueError, TypeError, OverflowError) as error:
        raise OmniError(f"this cannot be sent ({error}); give text that is Unicode, and numbers of 64 bits") from None


def _reason(socket: ClientConnection) -> str:
    return f" ({socket.close_code}: {socket.close_reason})" if socket.close_reason else ""
