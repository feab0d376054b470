"""One live websocket: what is said goes out, what comes back becomes responses and a conversation."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar, Unpack, overload
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection

from omnisdk.audio_file import Pcm
from omnisdk.canvas import Canvas
from omnisdk.connecting import CONNECT_TIMEOUT_S, Wire, connected, realtime_url
from omnisdk.conversation import Conversation, Item, PartLike, ToolCall, item_to_wire, new_item, reduce, spoken_words
from omnisdk.editing import Wait
from omnisdk.errors import ConnectFailed, ConnectionLost, OmniError, ServerError, SettingsError
from omnisdk.media import Image, Speech
from omnisdk.protocol import events, wire
from omnisdk.protocol import settings as wire_settings
from omnisdk.protocol.changes import CanvasChange as WireChange
from omnisdk.protocol.changes import Steer, SteerChange
from omnisdk.protocol.items import ItemReference
from omnisdk.protocol.limits import MAX_IMAGE_BYTES, WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.picture import Picture
from omnisdk.protocol.sent_log import SentLog
from omnisdk.protocol.settings import OutputModality
from omnisdk.reconnecting import MAY_COME_BACK, Lost, Reconnect, waiting_url
from omnisdk.response import CanvasChange, Response
from omnisdk.settings import AnswerKeywords, GenerationSettings, SharedKeywords
from omnisdk.speaking import Speaking
from omnisdk.structured import OutputType
from omnisdk.tools import Tool

CHUNK_SAMPLES = WIRE_SAMPLE_RATE_HZ // 2  # half a second of speech a frame
MAX_UNSENT_EVENTS = 64
ACKNOWLEDGED_EVERY = 32  # events of the server, and the end of each answer
OUTSIDE_OMNI = ("tools", "tool_choice", "output_type")  # settings that have places of their own
ANSWERED_BY = {
    events.OmniCanvasEdit: "omni.canvas.edited",
    events.OmniResponseTune: "omni.response.tuned",
    events.OmniCanvasSteer: "omni.canvas.steered",
}
T = TypeVar("T")


@dataclass(frozen=True)
class Receipt:
    """An event the server must answer: with an item of this id, with this type of event, or with an error."""

    event_id: str
    answered_by: str
    answer: asyncio.Future[events.ServerEvent]


class AsyncSession:
    """A live session. `async with client.session(output=["image", "text"]) as session:`

    `send` says something, `speak` streams speech, `respond` asks for an answer, `ask` does both and waits.
    `conversation` is all that was said, `last_response` the newest answer, `capabilities` what the server can do.
    When the connection is lost it goes on over another one, as `reconnect` says: nothing that was said is lost or said
    twice, and answers go on. If the server no longer has the session, the conversation is told to a new one and answers
    are begun anew. Only when none of this succeeds, whatever is being awaited raises ConnectionLost.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        wire: Wire = "msgpack",
        settings: GenerationSettings | None = None,
        conversation: Conversation | None = None,
        reconnect: Reconnect | None = Reconnect(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self.url = realtime_url(url)
        self._reconnect = reconnect
        self._wire: Wire = wire
        self.settings = settings or GenerationSettings()
        if self.settings.output_type is not None:
            raise SettingsError("a type as output belongs to one answer; give it to respond(...) or ask(...)")
        self.conversation = Conversation(system=None if conversation is None else conversation.system)
        self.capabilities: events.OmniSessionCapabilities | None = None
        self.last_response: Response | None = None
        self.turn_detection: wire_settings.ServerVad | None = None  # set before it is entered, the server hears turns
        self.listener: Callable[[events.ServerEvent], None] | None = None  # sees each event, on the reader's time
        self._opening_items = () if conversation is None else conversation.items
        self._api_key = api_key
        self.run: Wait | None = None  # how a thread without this loop waits; set by the sync client
        self._socket: ClientConnection | None = None
        self._session_id = ""
        self._resume_token: str | None = None  # of a server whose sessions survive their socket
        self._seen_seq = self._acknowledged_seq = 0  # of the server's numbered events
        self._sent = SentLog()
        self._whole = True  # whether the server's session knows all of the conversation
        self._outgoing: asyncio.Queue[events.ClientEvent] = asyncio.Queue()
        self._has_room = asyncio.Event()
        self._living: asyncio.Task[None] | None = None
        self._event_ids = (f"client_event_{number}" for number in itertools.count(1))
        self._receipts: list[Receipt] = []  # in the order they were sent
        self._asked: dict[str, Response] = {}  # by the id of its response.create, until the server names it
        self._running: dict[str, Response] = {}  # by response id
        self._spoken: list[Speech] = []  # committed, its item not yet known
        self._held: list[events.ResponseCreate] = []  # not sent while the answer before is being stopped
        self._stand_ins: set[str] = set()  # items only the server has: pictures of the assistant, retold
        self._turn_ended_at: float | None = None
        self._item_ids: list[str] = []  # of all the server's items, in their order
        self._lost: ConnectionLost | None = None

    async def __aenter__(self) -> AsyncSession:
        self._living = asyncio.create_task(self._live(await connected(self.url, self._api_key, self._wire)))
        try:
            await asyncio.wait_for(self._open(), CONNECT_TIMEOUT_S)
        except TimeoutError:
            await self.close()
            raise ConnectFailed(
                f"{self.url} took the connection and did not open a session in {CONNECT_TIMEOUT_S:.0f} s; "
                "check that an omni server listens there"
            ) from None
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the socket; answers still being made end with ConnectionLost."""
        self._lose("the session was closed here")
        if self._living is not None:
            self._living.cancel()
            await asyncio.gather(self._living, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    # Saying and asking

    async def send(self, *parts: PartLike) -> Item:
        """Say something: words, Speech, Image, several of them in one item. Returns the item once the server has it."""
        item = new_item("user", *parts)
        if len(item.parts) == 1 and isinstance(item.parts[0], Speech):
            async with self.speak() as mic:
                await mic.send(item.parts[0])
            return self.conversation.items[-1]
        return await self._add_item(item)

    def show(self, picture: Image) -> None:
        """Let the server see a picture of a camera or a screen; the next turn takes the newest one with it."""
        shown = Picture(picture.encoded(MAX_IMAGE_BYTES))
        self._post(events.OmniImageBufferAppend(event_id=next(self._event_ids), image=shown))

    def speak(self, *, sample_rate_hz: int = WIRE_SAMPLE_RATE_HZ) -> Speaking:
        """Stream speech as it is spoken; leaving the block ends the turn. An answer being made is cancelled."""
        return Speaking(self, sample_rate_hz)

    def respond(self, **settings: Unpack[AnswerKeywords]) -> Response:
        """Ask for an answer to what was said; settings hold for this answer only. Returns at once."""
        wanted = GenerationSettings(**settings)
        asked_at = self._turn_ended_at or time.monotonic()
        response = Response(self, asked_at=asked_at, run=self.run, form=wanted.output_type)
        self._turn_ended_at = None
        self.last_response = response
        if self._lost is not None:
            response.fail(self._lost)
            return response
        event_id = next(self._event_ids)
        stopping = any(running.stopping for running in [*self._asked.values(), *self._running.values()])
        self._asked[event_id] = response
        response.request = create = _response_create(event_id, wanted)
        response.asked = create.response or wire_settings.ResponseSettings(), ()
        self._held.append(create)
        if not stopping:
            self._post_held()
        return response

    def fill(self, canvas: Canvas, **settings: Unpack[SharedKeywords]) -> Response:
        """Have what a canvas leaves open filled in, beside the conversation. Returns at once, as `respond`."""
        wanted = GenerationSettings(**settings)
        if wanted.tools or wanted.tool_choice:
            raise SettingsError("a canvas calls no tools; give what its parts need alone")
        response = Response(self, asked_at=time.monotonic(), run=self.run)
        if self._lost is not None:
            response.fail(self._lost)
            return response
        create = _response_create(next(self._event_ids), wanted)
        assert create.response is not None
        omni = wire_settings.OmniSettings() if create.response.omni is msgspec.UNSET else create.response.omni
        omni.canvas, omni.given = canvas.slots(), canvas.given()
        create.response.conversation, create.response.input, create.response.omni = "none", [canvas.request()], omni
        response.asked, response.request = (create.response, ()), create
        self._asked[str(create.event_id)] = response
        self._post(create)
        return response

    @overload
    async def ask(self, *parts: PartLike, output: type[T], **settings: Unpack[SharedKeywords]) -> T: ...
    @overload
    async def ask(
        self, *parts: PartLike, output: Sequence[OutputModality] | None = None, **settings: Unpack[SharedKeywords]
    ) -> Response: ...
    async def ask(self, *parts: PartLike, output: Any = None, **settings: Any) -> Any:
        """Say something and wait for the finished answer; with a type as output, for a value of that type."""
        wanted = GenerationSettings(output=output, **settings)  # what is wrong is told before anything is sent
        await self.send(*parts)
        response = await self.respond(output=output, **settings)
        return response if wanted.output_type is None else response.output

    # Asked for by responses

    def request_cancel(self, response_id: str) -> None:
        """Ask the server to stop a response."""
        self._post(events.ResponseCancel(event_id=next(self._event_ids), response_id=response_id))

    def request_finalize(self, response_id: str) -> None:
        """Ask the server to end a response with the best it has."""
        self._post(events.OmniResponseFinalize(event_id=next(self._event_ids), response_id=response_id))

    def fork(self, first: Response, seed: int | None, at_step: int | None) -> Response:
        """A second answer that goes on from what the first knows, or knew."""
        response, event_id = Response(self, asked_at=time.monotonic(), run=self.run), next(self._event_ids)
        response.asked, response.steers = first.asked, list(first.steers)
        self._asked[event_id] = response
        assert first.canvas_id is not None
        fork = events.OmniCanvasFork(canvas_id=first.canvas_id, seed=seed, at_step=at_step)
        fork.event_id, fork.metadata = event_id, {"client_event_id": event_id}
        self._post(fork)
        return response

    def replay(self, first: Response) -> Response:
        """The same answer again, from what its end told."""
        assert first.asked is not None
        wanted, item_ids = first.asked
        response, event_id = Response(self, asked_at=time.monotonic(), run=self.run), next(self._event_ids)
        response.steers = list(first.steers)
        again = msgspec.structs.replace(
            wanted,
            conversation="none",
            input=[ItemReference(id=item_id) for item_id in item_ids]
            if wanted.input is msgspec.UNSET
            else wanted.input,
            metadata={"client_event_id": event_id},
            omni=msgspec.structs.replace(
                wire_settings.OmniSettings() if wanted.omni is msgspec.UNSET else wanted.omni,
                seed=first.seed,
                deadline_ms=None,
                changes=_with_media(first.changes, first.steers),
            ),
        )
        self._asked[event_id] = response
        self._post(events.ResponseCreate(event_id=event_id, response=again))
        return response

    async def change(self, event: CanvasChange) -> int:
        """The step at which a change of an answer was made. Raises ServerError."""
        event.event_id = next(self._event_ids)
        made = await self._receipt(event, ANSWERED_BY[type(event)])
        assert isinstance(made, events.OmniCanvasEdited | events.OmniResponseTuned | events.OmniCanvasSteered)
        return made.applied_at_step

    def asset_url(self, url: str) -> str:
        """Where a picture of the server's can be fetched."""
        parts = urlsplit(self.url)
        scheme = "https" if parts.scheme == "wss" else "http"
        return urljoin(urlunsplit((scheme, parts.netloc, "", "", "")), url)

    # Asked for by speaking

    def post_audio(self, pcm: Pcm) -> None:
        """Append speech at 24 kHz to the server's input buffer."""
        for first in range(0, len(pcm), CHUNK_SAMPLES):
            chunk = pcm[first : first + CHUNK_SAMPLES].astype("<i2").tobytes()
            self._post(events.InputAudioBufferAppend(event_id=next(self._event_ids), audio=chunk))

    async def commit_speech(self, speech: Speech) -> None:
        """End the spoken turn; returns when the server has made an item of it."""
        self._turn_ended_at = time.monotonic()
        event = events.InputAudioBufferCommit(event_id=next(self._event_ids))
        self._spoken.append(speech)
        try:
            await self._receipt(event, "input_audio_buffer.committed")
        except ServerError:
            self._spoken.remove(speech)
            raise

    def expect_spoken(self, speech: Speech) -> None:
        """The server is about to commit this turn, which it heard itself."""
        self._spoken.append(speech)

    def clear_speech(self) -> None:
        """Take back the speech that was not yet committed."""
        self._post(events.InputAudioBufferClear(event_id=next(self._event_ids)))

    async def settled(self) -> None:
        """Return when the server has seen to all that was sent before. Raises ConnectionLost."""
        event = events.SessionUpdate(event_id=next(self._event_ids), session=wire_settings.SessionSettings())
        await self._receipt(event, "session.updated")

    async def delete(self, item_id: str) -> None:
        """Take an item out of the conversation. Raises ServerError if the server has none of this id."""
        event = events.ConversationItemDelete(event_id=next(self._event_ids), item_id=item_id)
        await self._receipt(event, "conversation.item.deleted")

    async def truncate(self, item_id: str, heard_ms: int) -> None:
        """Keep of a spoken answer what was heard, its words in proportion. Raises ServerError."""
        event = events.ConversationItemTruncate(
            event_id=next(self._event_ids), item_id=item_id, content_index=0, audio_end_ms=heard_ms
        )
        await self._receipt(event, "conversation.item.truncated")

    def interrupt(self) -> None:
        """Cancel the answer that is being made, if there is one."""
        if self.last_response is not None and not self.last_response.finished:
            self.last_response.note("cancel")

    async def room(self) -> None:
        """Wait until the socket has taken most of what was posted."""
        if self._outgoing.qsize() > MAX_UNSENT_EVENTS:
            self._has_room.clear()
            await self._has_room.wait()
        self._raise_if_lost()

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self._lost is not None

    @property
    def max_speech_s(self) -> float | None:
        """The longest speech the server takes, None if it did not say."""
        speech_in = self.capabilities.speech_in if self.capabilities else None
        return speech_in.max_seconds if speech_in else None

    # Opening

    async def _open(self) -> None:
        event = _session_update(next(self._event_ids), self.settings, self.conversation.system, self.turn_detection)
        await self._receipt(event, "session.updated")
        for item in self._opening_items:
            self.conversation = self.conversation.add(item)
            for told in self._retold(item):
                await self._create(told)

    def _retold(self, item: Item) -> list[Item]:
        """An item as it is repeated. Pictures of the assistant go as shown by the user, just before."""
        pictures = [part for part in item.parts if isinstance(part, Image)]
        told = []
        if item.role == "assistant" and pictures:
            told.append(new_item("user", *pictures))
            self._stand_ins.add(told[0].id)
        if item.role != "assistant" or spoken_words(item) or isinstance(item.parts[0], ToolCall):
            told.append(item)
        return told

    async def _add_item(self, item: Item) -> Item:
        self._turn_ended_at = time.monotonic()
        self.conversation = self.conversation.add(item)
        try:
            await self._create(item)
        except ServerError:
            self.conversation = self.conversation.without(item.id)
            raise
        return item

    async def _create(self, item: Item) -> None:
        event = events.ConversationItemCreate(event_id=next(self._event_ids), item=item_to_wire(item))
        await self._receipt(event, item.id)

    # Sending

    def _post(self, event: events.ClientEvent) -> None:
        if self._lost is None:
            self._sent.note(event)
            self._outgoing.put_nowait(event)

    def _post_held(self) -> None:
        for event in self._held:
            self._post(event)
        self._held.clear()

    async def _transmit(self, socket: ClientConnection) -> None:
        with suppress(websockets.ConnectionClosed):  # the receiving side tells
            while True:
                await socket.send(_encoded(socket, await self._outgoing.get()))
                if self._outgoing.qsize() <= MAX_UNSENT_EVENTS:
                    self._has_room.set()

    def _send_again(self, unsure: Sequence[events.ClientEvent]) -> None:
        """In the place of what waits to be sent, which is among it."""
        self._outgoing = asyncio.Queue()
        for event in unsure:
            self._outgoing.put_nowait(event)

    async def _receipt(self, event: events.ClientEvent, answered_by: str) -> events.ServerEvent:
        """Send an event and wait for the server's answer to it. Raises ServerError or ConnectionLost."""
        self._raise_if_lost()
        assert event.event_id is not None
        receipt = Receipt(event.event_id, answered_by, asyncio.get_running_loop().create_future())
        self._receipts.append(receipt)
        self._post(event)
        try:
            return await receipt.answer
        finally:
            self._receipts.remove(receipt)

    # Receiving

    async def _live(self, socket: ClientConnection) -> None:
        """Over one connection after the other, until none can be had."""
        again: ClientConnection | None = socket
        while again is not None:
            lost = await self._carry(again)
            again, why = await self._regain(lost)
        self._lose(why)

    async def _carry(self, socket: ClientConnection) -> Lost:
        self._socket = socket
        transmitting = asyncio.create_task(self._transmit(socket))
        try:
            async for frame in socket:
                self._take(wire.decode_server_event(frame))
                await asyncio.sleep(0)  # a burst of frames must not keep loops over partials from their turn
            return Lost(f"the server closed the connection{_reason(socket)}", socket.close_code in MAY_COME_BACK)
        except websockets.ConnectionClosed as closed:
            return Lost(f"the connection broke ({closed})", socket.close_code in MAY_COME_BACK)
        except (OmniError, ValueError) as error:
            return Lost(f"the server sent something that cannot be read ({error})", False)
        finally:
            transmitting.cancel()
            await asyncio.gather(transmitting, return_exceptions=True)

    def _take(self, event: events.ServerEvent) -> None:
        if not self._is_news(event):
            return
        self._settle(event)
        if _item_id(event) not in self._stand_ins:
            self.conversation = reduce(self.conversation, event)
        match event:
            case events.SessionCreated():
                self._session_id = str(event.session.id)
                self._resume_token = None if event.resume_token is msgspec.UNSET else event.resume_token
            case events.OmniSessionCapabilities():
                self.capabilities = event
            case events.InputAudioBufferCommitted():
                self._know_spoken(event.item_id)
            case events.InputAudioBufferCleared():
                self._sent.cleared()
            case events.ConversationItemAdded():
                if event.item.id not in self._item_ids:  # it may be told again on another connection
                    self._item_ids.append(str(event.item.id))
            case events.Error():
                self._take_error(event)
            case events.ResponseCreated():
                self._name_response(event)
            case _:
                self._feed_response(event)
        if self.listener is not None:
            self.listener(event)

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
            self._outgoing.put_nowait(events.SessionEventAck(server_event_seq=seq))
        return True

    def _settle(self, event: events.ServerEvent) -> None:
        """Hand the event to the first that waits for an item of its id or for its type."""
        names = (_type_of(event), _item_id(event))
        receipt = next((receipt for receipt in self._receipts if receipt.answered_by in names), None)
        if receipt is not None and not receipt.answer.done():
            self._sent.answered(receipt.event_id)
            receipt.answer.set_result(event)

    def _take_error(self, event: events.Error) -> None:
        """Give it to what it answers: what it names, else the oldest unanswered, so that nothing waits forever."""
        told = event.error
        error = ServerError(
            told.message, code=told.code, param=told.param, event_id=event.event_id, client_event_id=told.event_id
        )
        if told.event_id is not None and told.event_id in self._sent:
            self._sent.answered(told.event_id)
        named = [receipt for receipt in self._receipts if receipt.event_id == told.event_id]
        open_receipts = [receipt for receipt in named or self._receipts if not receipt.answer.done()]
        if told.event_id in self._asked:
            self._asked.pop(told.event_id).fail(error)
            self._post_held()
        elif open_receipts and (named or told.event_id is None):
            open_receipts[0].answer.set_exception(error)
        elif self._asked and told.event_id is None:
            self._asked.pop(next(iter(self._asked))).fail(error)

    def _know_spoken(self, item_id: str) -> None:
        """The item of the oldest committed speech is now known."""
        if self._spoken:
            self.conversation = self.conversation.add(Item(item_id, "user", (self._spoken.pop(0),)))

    def _name_response(self, event: events.ResponseCreated) -> None:
        """Pair the server's response with the one asked for: by its metadata, else the oldest."""
        if not self._asked:
            return
        named = (event.response.metadata or {}).get("client_event_id")
        asked = named if named in self._asked else next(iter(self._asked))
        self._sent.answered(asked)
        response = self._asked.pop(asked)
        self._running[event.response.id] = response
        if response.asked is not None and not response.asked[1]:
            response.asked = response.asked[0], tuple(self._item_ids)
        response.feed(event)

    def _feed_response(self, event: events.ServerEvent) -> None:
        """Give the event to the response it names; what it heard of the user belongs to the one being made."""
        if isinstance(event, events.ResponseDone):
            response = self._running.pop(event.response.id, None)
            self._post_held()
        elif isinstance(event, events.ConversationItemInputAudioTranscriptionCompleted):
            response = self.last_response
        else:
            response = self._running.get(getattr(event, "response_id", ""))
        if response is not None and not response.finished:
            response.feed(event)

    # Losing the connection

    async def _regain(self, lost: Lost) -> tuple[ClientConnection | None, str]:
        """Another connection on which the session goes on, or why there is none."""
        if self._reconnect is None or self._resume_token is None or not lost.may_come_back:
            return None, lost.why
        tried: object = "no try was made"
        for pause_s in self._reconnect.pauses_s():
            await asyncio.sleep(pause_s)
            try:
                socket = await connected(waiting_url(self.url), self._api_key, self._wire)
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
            except BaseException:
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
        # What the server hears turns in is not told again: it may have made some of it.
        live_sound = () if self.turn_detection is None else events.InputAudioBufferAppend
        self._send_again([event for event in self._sent if not isinstance(event, live_sound)])

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
        self._send_again(self._sent.after(resumed.last_client_event_id))
        return True

    async def _begin_anew(self, socket: ClientConnection) -> None:
        """The conversation as far as it is known, told to a new session; what was being made is asked for again."""
        self._seen_seq = self._acknowledged_seq = 0
        for response in self._running.values():
            self._begin_answer_anew(response)
        self._running.clear()
        unsure = {event.item.id for event in self._sent if isinstance(event, events.ConversationItemCreate)}
        update = _session_update(next(self._event_ids), self.settings, self.conversation.system, self.turn_detection)
        await self._exchange(socket, update, "session.updated")
        for item in self.conversation.items:
            for told in self._retold(item) if item.id not in unsure else []:
                event = events.ConversationItemCreate(event_id=next(self._event_ids), item=item_to_wire(told))
                await self._exchange(socket, event, told.id)
        for receipt in self._receipts:
            if receipt.event_id not in self._sent and not receipt.answer.done():
                receipt.answer.set_exception(ConnectionLost("the answer that was to be changed had to be begun anew"))

    def _begin_answer_anew(self, response: Response) -> None:
        for item_id in response.made_item_ids:
            self.conversation = self.conversation.without(item_id)
        if response.stopping:
            response.give_up()
            self._post_held()
        elif response.request is None:
            response.fail(ConnectionLost("the connection was lost, and with it the answer that this one was forked of"))
        else:
            response.begin_anew()
            self._asked[str(response.request.event_id)] = response
            self._sent.note(response.request)

    async def _exchange(self, socket: ClientConnection, event: events.ClientEvent, answered_by: str) -> None:
        """Send an event before the session goes on, and take what comes until it is answered. Raises ServerError."""
        await socket.send(_encoded(socket, event))
        while True:
            came = wire.decode_server_event(await socket.recv())
            self._take(came)
            if isinstance(came, events.Error) and came.error.event_id == event.event_id:
                raise ServerError(came.error.message, code=came.error.code, param=came.error.param)
            if answered_by in (_type_of(came), _item_id(came)):
                return

    def _lose(self, why: str) -> None:
        """End everything that is awaited with ConnectionLost."""
        if self._lost is not None:
            return
        self._lost = ConnectionLost(f"{why}; open a new session and ask again")
        self._has_room.set()
        for receipt in self._receipts:
            if not receipt.answer.done():
                receipt.answer.set_exception(self._lost)
        for response in [*self._asked.values(), *self._running.values()]:
            response.fail(self._lost)
        self._asked.clear()
        self._running.clear()

    def _raise_if_lost(self) -> None:
        if self._lost is not None:
            raise self._lost


def _session_update(
    event_id: str, settings: GenerationSettings, system: str | None, detection: wire_settings.ServerVad | None
) -> events.SessionUpdate:
    pcm = wire_settings.AudioFormat(type="audio/pcm", rate=WIRE_SAMPLE_RATE_HZ)
    session = wire_settings.SessionSettings(
        output_modalities=["audio" if "speech" in (settings.output or ()) else "text"],
        audio=wire_settings.AudioSettings(input=wire_settings.AudioInput(format=pcm, turn_detection=detection)),
        omni=_omni(settings, version=wire_settings.OMNI_VERSION),
    )
    if system is not None:
        session.instructions = system
    if settings.tools is not None:
        session.tools = [_function(tool) for tool in settings.tools]
    if settings.tool_choice is not None:
        session.tool_choice = _choice(settings.tool_choice)
    return events.SessionUpdate(event_id=event_id, session=session)


def _with_media(told: Sequence[WireChange], steers: Sequence[Steer]) -> list[WireChange]:
    """Changes as the server told them, steering with the speech and the pictures it was asked for with."""
    asked = iter(steers)
    return [
        msgspec.structs.replace(change, steer=msgspec.structs.replace(change.steer, input=next(asked).input))
        if isinstance(change, SteerChange)
        else change
        for change in told
    ]


def _response_create(event_id: str, settings: GenerationSettings) -> events.ResponseCreate:
    response = wire_settings.ResponseSettings(metadata={"client_event_id": event_id})
    if settings.given:
        response.omni = _omni(settings)
    if settings.tools is not None:
        response.tools = [_function(tool) for tool in settings.tools]
    if settings.tool_choice is not None:
        response.tool_choice = _choice(settings.tool_choice)
    if settings.output_type is not None:
        response.tools = [_function(settings.output_type)]
        response.tool_choice = _choice(settings.output_type.name)
    return events.ResponseCreate(event_id=event_id, response=response)


def _omni(settings: GenerationSettings, **more: Any) -> wire_settings.OmniSettings:
    given = {name: value for name, value in settings if value is not None and name not in OUTSIDE_OMNI} | more
    if settings.slots is not None:
        given["generation"] = {name: slot.given for name, slot in settings.slots.items()}
        del given["slots"]
    return msgspec.convert(given, wire_settings.OmniSettings)


def _function(tool: Tool | OutputType[object]) -> wire_settings.FunctionTool:
    return wire_settings.FunctionTool(name=tool.name, description=tool.description, parameters=tool.schema)


def _choice(name: str) -> wire_settings.ToolChoice:
    general: dict[str, wire_settings.ToolChoice] = {"none": "none", "auto": "auto", "required": "required"}
    return general.get(name) or wire_settings.ToolChoiceFunction(name=name)


def _encoded(socket: ClientConnection, event: events.ClientEvent) -> str | bytes:
    packs = socket.subprotocol == wire_settings.OMNI_MSGPACK
    return wire.pack(event) if packs else wire.encode(event)


def _reason(socket: ClientConnection) -> str:
    return f" ({socket.close_code}: {socket.close_reason})" if socket.close_reason else ""


def _item_id(event: events.ServerEvent) -> str | None:
    """The id of the item the event tells, if it tells one."""
    return getattr(getattr(event, "item", None), "id", None)


def _type_of(event: events.ServerEvent) -> str:
    return event.type if isinstance(event, events.UnknownEvent) else str(event.__struct_config__.tag)
