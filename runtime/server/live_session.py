"""A session and the sockets that carry it, one after the other."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from omnisdk.protocol import errors, events
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.journal import Journal, JournalGapError
from omnisdk.protocol.lifetime import Due, Lifetime
from runtime.server.accounts import Account
from runtime.server.event_socket import CLOSE_TIMEOUT_S, GONE, EventSocket, send_events
from runtime.server.outbox import Outbox, OutboxFullError
from runtime.server.responses import new_id
from runtime.server.resume_token import ResumeToken
from runtime.server.session import RealtimeSession

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ending:
    """How the last socket of a session is closed. flushed: whether what is still to be told is told before."""

    code: int
    reason: str
    flushed: bool = True


GOODBYE = Ending(1000, "closed")
GOING_AWAY = Ending(1001, "the server ends; come back later")
TOO_OLD = Ending(1001, "the longest time of a session is over; begin a new one")
INTERNAL_ERROR = Ending(1011, "internal error", flushed=False)
SLOW_CONSUMER = Ending(1013, "events were not read fast enough", flushed=False)
IDLE = Ending(4008, "the session was not used; begin a new one when it is needed")
REPLACED = Ending(4001, "another connection has resumed the session")


@dataclass
class Attachment:
    """One socket's hold on a session. taken: another socket has it. released: this one no longer sends or reads."""

    generation: int
    taken: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)


class LiveSession:
    """outbox: what the session says. lifetime: how long it may last. account: what it may take.
    spare, journal: with which it can survive its socket, if servers let it; it does once it has the token.

    on_away: called when its socket was lost and it waits for another one. on_end: called when it is over.
    To be given its `session` before anything else is done.
    """

    session: RealtimeSession

    def __init__(
        self,
        outbox: Outbox,
        lifetime: Lifetime,
        spare: ResumeToken | None,
        journal: Journal,
        account: Account,
        *,
        on_away: Callable[["LiveSession"], None],
        on_end: Callable[["LiveSession"], None],
    ) -> None:
        self.token: ResumeToken | None = None
        self._spare, self._account = spare, account
        self._outbox, self._lifetime, self._journal = outbox, lifetime, journal
        self._on_away, self._on_end = on_away, on_end
        self._attachment: Attachment | None = None
        self._generation = 0
        self._taking = asyncio.Lock()
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._watching: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        return self.session.id

    @property
    def attached(self) -> bool:
        """Whether a socket carries it."""
        return self._attachment is not None

    def open(self, *, survives: bool) -> None:
        """survives: its socket, in any case. One whose client has opted in does as well."""
        self.session.open(self.survive() if survives or self.session.opted_in else None)
        if self._lifetime.next() is not None:
            self._watching = asyncio.create_task(self._watch(), name=f"{self.id} lasts")

    def survive(self) -> str | None:
        """From now on it outlives its socket: a token, to be told to the client; None where it may not."""
        if self.token is None:
            self.token, self._spare = self._spare, None
        return None if self.token is None else self.token.renew()

    def end(self, ending: Ending) -> None:
        """End it for good; one that nobody carries is over at once."""
        if not self._ending.done():
            self._ending.set_result(ending)
        if not self.attached:
            self._close()

    def go_away(self, time_left_s: float, reason: str) -> None:
        """Tell a client that understands it that the session will be closed."""
        if self.session.opted_in and not self._ending.done():
            with suppress(OutboxFullError):
                self._outbox.put(events.OmniSessionGoAway(time_left_ms=round(1000 * time_left_s), reason=reason))

    def check_resumable(self, wanted: events.SessionResume) -> None:
        """Raises JournalGapError or ProtocolError."""
        self._journal.after(wanted.last_received_server_event_seq)

    async def carry(
        self, socket: EventSocket, *, first: str | bytes | None = None, resumed: events.SessionResume | None = None
    ) -> None:
        """Over one socket, until it or the session ends. first: a frame that was read before."""
        attachment = await self._attach()
        try:
            if resumed is not None:
                await self._replay(socket, resumed)
            await self._exchange(socket, attachment, first)
        except JournalGapError:
            await socket.tell(events.SessionResyncRequired(session_id=self.id, reason="journal_gap"))
            self.end(GOODBYE)
        finally:
            attachment.released.set()
            await self._let_go(socket, attachment)

    # One socket after the other

    async def _attach(self) -> Attachment:
        """Take the session over. What the socket before has read is taken, what it was sending is in the journal."""
        before, self._generation = self._attachment, self._generation + 1
        self._attachment = Attachment(self._generation)
        attachment = self._attachment
        if before is not None:
            before.taken.set()
            await before.released.wait()
        async with self._taking:
            return attachment

    async def _let_go(self, socket: EventSocket, attachment: Attachment) -> None:
        if attachment.taken.is_set():
            await socket.tell(events.SessionReplaced(session_id=self.id, attachment_generation=self._generation))
            await socket.close(REPLACED.code, REPLACED.reason)
            return
        self._attachment = None
        if self._ending.done() or socket.said_goodbye or self.token is None:
            self._close()
            ending = self._ending.result() if self._ending.done() else GOODBYE
            await socket.close(ending.code, ending.reason)
        else:
            self._on_away(self)

    async def _replay(self, socket: EventSocket, wanted: events.SessionResume) -> None:
        """Raises JournalGapError."""
        assert self.token is not None
        missed = self._journal.after(wanted.last_received_server_event_seq)
        self.session.forget_partials()
        with suppress(*GONE):
            await socket.send(
                socket.encode(
                    events.SessionResumed(
                        event_id=new_id("event"),
                        session_id=self.id,
                        session=self.session.settings,
                        resume_token=self.token.renew(),
                        attachment_generation=self._generation,
                        last_client_event_id=self.session.last_event_id,
                    )
                )
            )
            for event in missed:
                await socket.send(socket.encode(event))

    # Over one socket

    async def _exchange(self, socket: EventSocket, attachment: Attachment, first: str | bytes | None) -> None:
        reading = asyncio.create_task(self._read(socket, first), name=f"{self.id} reads")
        sending = asyncio.create_task(self._send(socket), name=f"{self.id} sends")
        taken = asyncio.create_task(attachment.taken.wait(), name=f"{self.id} is taken")
        try:
            waited: list[asyncio.Future[Any]] = [reading, taken, self._ending]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            if self._ending.done() and self._ending.result().flushed:
                self._outbox.finish()
                await asyncio.wait([sending], timeout=CLOSE_TIMEOUT_S)
        finally:
            for task in (reading, sending, taken):
                task.cancel()
            await asyncio.gather(reading, sending, taken, return_exceptions=True)

    async def _read(self, socket: EventSocket, first: str | bytes | None) -> None:
        """Until the client is gone."""
        try:
            frame = first if first is not None else await socket.frame()
            while frame is not None:
                # A frame is taken as a whole or not at all, even if the socket is lost meanwhile.
                await asyncio.shield(asyncio.ensure_future(self._take(socket, frame)))
                frame = await socket.frame()
        except Exception:  # what a frame breaks is told by the session; this is ours, and ends it alone
            log.exception("session %s could not be read", self.id)
            self.end(INTERNAL_ERROR)

    async def _take(self, socket: EventSocket, frame: str | bytes) -> None:
        async with self._taking:
            if self.token is not None:
                self.token.confirm()
            try:
                self._account.check("bytes")
                self._account.take(bytes=len(frame))
                socket.check_form(frame)
                event = await self.session.receive(frame)
                if not isinstance(event, events.SocketEvent):
                    self._lifetime.use(time.monotonic())
            except ProtocolError as error:
                self.session.tell_error(error)
            except OutboxFullError:
                self.end(SLOW_CONSUMER)

    async def _send(self, socket: EventSocket) -> None:
        """Until all is told or the client is gone, which the reading side sees too."""
        try:
            await send_events(socket, self._outbox, partial(self._frame, socket))
        except GONE:
            pass
        except Exception:  # as in reading
            log.exception("session %s could not be told", self.id)
            self.end(INTERNAL_ERROR)

    def _frame(self, socket: EventSocket, event: ServerEvent) -> str | bytes:
        event.event_id = new_id("event")
        self.session.told(event)
        if self.token is None or not self._journal.number(event):
            return socket.encode(event)
        frame = socket.encode(event)
        self._journal.keep(event, len(frame))
        return frame

    def take_socket_event(self, event: events.SocketEvent) -> None:
        """What the client says of the socket and its session. Raises ProtocolError."""
        match event:
            case events.SessionHeartbeat():
                self._outbox.put(events.SessionHeartbeatAck(session_id=self.id))
            case events.SessionEventAck():
                self._journal.acknowledge(event.server_event_seq)
            case events.SessionClose():
                self._outbox.put(events.SessionClosed(session_id=self.id, reason="client_close"))
                self.end(GOODBYE)
            case events.SessionResume():
                raise ProtocolError(
                    "session.resume came on a socket that has a session; open another one with ?autostart=0 and make "
                    "it the first event",
                    code=errors.RESUME_UNSUPPORTED,
                )

    # Its time

    async def _watch(self) -> None:
        while (due := self._lifetime.next()) is not None:
            await asyncio.sleep(max(0.0, due.at - time.monotonic()))
            if due == self._lifetime.next():
                self._come(due)

    def _come(self, due: Due) -> None:
        if due.why == "idle" and self.session.answering:
            self._lifetime.use(time.monotonic())
        elif due.ends:
            self.end(IDLE if due.why == "idle" else TOO_OLD)
        else:
            self._lifetime.told(due)
            self.go_away(due.ends_at - due.at, due.why)

    def _close(self) -> None:
        """It is over: nothing more is made for it."""
        if self._watching is not None:
            self._watching.cancel()
        self.session.close()
        self._outbox.close()
        self._on_end(self)
