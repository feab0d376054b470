"""One live websocket: what is said goes out, what comes back becomes responses and a conversation."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypeVar, overload
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.http11 import Response as HttpResponse

from omnisdk.audio_file import Pcm
from omnisdk.conversation import Conversation, Item, PartLike, ToolCall, item_to_wire, new_item, reduce, spoken_words
from omnisdk.errors import ConnectFailed, ConnectionLost, OmniError, ServerError, SettingsError
from omnisdk.media import Image, Speech
from omnisdk.protocol import events, wire
from omnisdk.protocol import settings as wire_settings
from omnisdk.protocol.limits import MAX_INBOUND_FRAME_BYTES, WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.settings import OutputModality
from omnisdk.response import CanvasChange, Response
from omnisdk.settings import GenerationSettings
from omnisdk.speaking import Speaking
from omnisdk.structured import OutputType
from omnisdk.tools import Tool

SUBPROTOCOLS = {"msgpack": wire_settings.OMNI_MSGPACK, "json": wire_settings.OMNI_VERSION}
REALTIME_PATH = "/v1/realtime"
CHUNK_SAMPLES = WIRE_SAMPLE_RATE_HZ // 2  # half a second of speech a frame
MAX_UNSENT_EVENTS = 64
OUTSIDE_OMNI = ("tools", "tool_choice", "fill", "output_type")  # settings that have places of their own
CONNECT_TIMEOUT_S = 20.0
Wire = Literal["msgpack", "json"]
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
    Whatever is being awaited when the socket closes raises ConnectionLost.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        wire: Wire = "msgpack",
        settings: GenerationSettings | None = None,
        conversation: Conversation | None = None,
    ) -> None:
        self.url = realtime_url(url)
        self._wire: Wire = wire
        self.settings = settings or GenerationSettings()
        if self.settings.fill is not None:
            raise SettingsError("fill belongs to one answer; give it to respond(...) or ask(...)")
        if self.settings.output_type is not None:
            raise SettingsError("a type as output belongs to one answer; give it to respond(...) or ask(...)")
        self.conversation = Conversation(system=None if conversation is None else conversation.system)
        self.capabilities: events.OmniSessionCapabilities | None = None
        self.last_response: Response | None = None
        self.turn_detection: wire_settings.ServerVad | None = None  # set before it is entered, the server hears turns
        self.listener: Callable[[events.ServerEvent], None] | None = None  # sees each event, on the reader's time
        self._opening_items = () if conversation is None else conversation.items
        self._api_key = api_key
        self.run: Callable[[Any], Any] | None = None  # how a thread without this loop waits; set by the sync client
        self._socket: ClientConnection | None = None
        self._outgoing: asyncio.Queue[events.ClientEvent] = asyncio.Queue()
        self._has_room = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._event_ids = (f"client_event_{number}" for number in itertools.count(1))
        self._receipts: list[Receipt] = []  # in the order they were sent
        self._asked: dict[str, Response] = {}  # by the id of its response.create, until the server names it
        self._running: dict[str, Response] = {}  # by response id
        self._spoken: list[Speech] = []  # committed, its item not yet known
        self._held: list[events.ResponseCreate] = []  # not sent while the answer before is being stopped
        self._stand_ins: set[str] = set()  # items only the server has: pictures of the assistant, retold
        self._turn_ended_at: float | None = None
        self._lost: ConnectionLost | None = None

    async def __aenter__(self) -> AsyncSession:
        self._socket = await _connected(self.url, self._api_key, self._wire)
        self._tasks = [asyncio.create_task(self._receive()), asyncio.create_task(self._transmit())]
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
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
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

    def speak(self, *, sample_rate_hz: int = WIRE_SAMPLE_RATE_HZ) -> Speaking:
        """Stream speech as it is spoken; leaving the block ends the turn. An answer being made is cancelled."""
        return Speaking(self, sample_rate_hz)

    def respond(self, **settings: Any) -> Response:
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
        self._held.append(_response_create(event_id, wanted))
        if not stopping:
            self._post_held()
        return response

    @overload
    async def ask(self, *parts: PartLike, output: type[T], **settings: Any) -> T: ...
    @overload
    async def ask(
        self, *parts: PartLike, output: Sequence[OutputModality] | None = None, **settings: Any
    ) -> Response: ...
    async def ask(self, *parts: PartLike, output: Any = None, **settings: Any) -> Any:
        """Say something and wait for the finished answer; with a type as output, for a value of that type."""
        wanted = GenerationSettings(output=output, **settings)  # what is wrong is told before anything is sent
        await self.send(*parts)
        response = await self.respond(output=output, **settings)
        return response if wanted.output_type is None else response.output

    # Asked for by responses

    def request_cancel(self, response_id: str) -> None:
        self._post(events.ResponseCancel(event_id=next(self._event_ids), response_id=response_id))

    def request_finalize(self, response_id: str) -> None:
        self._post(events.OmniResponseFinalize(event_id=next(self._event_ids), response_id=response_id))

    def fork(self, canvas_id: str, seed: int | None) -> Response:
        """A second answer that goes on from what the one on this canvas knows."""
        response, event_id = Response(self, asked_at=time.monotonic(), run=self.run), next(self._event_ids)
        self._asked[event_id] = response
        metadata = {"client_event_id": event_id}
        self._post(events.OmniCanvasFork(event_id=event_id, canvas_id=canvas_id, seed=seed, metadata=metadata))
        return response

    async def change(self, event: CanvasChange) -> int:
        """The step at which a change of an answer was made. Raises ServerError."""
        event.event_id = next(self._event_ids)
        answered_by = "omni.canvas.edited" if isinstance(event, events.OmniCanvasEdit) else "omni.response.tuned"
        made = await self._receipt(event, answered_by)
        assert isinstance(made, events.OmniCanvasEdited | events.OmniResponseTuned)
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
    def max_speech_s(self) -> float | None:
        """The longest speech the server takes, None if it did not say."""
        speech_in = self.capabilities.speech_in if self.capabilities else None
        return speech_in.max_seconds if speech_in else None

    # Opening

    async def _open(self) -> None:
        event = _session_update(next(self._event_ids), self.settings, self.conversation.system, self.turn_detection)
        await self._receipt(event, "session.updated")
        for item in self._opening_items:
            await self._tell(item)

    async def _tell(self, item: Item) -> None:
        """Repeat an item of an earlier conversation. Pictures of the assistant go as shown by the user, just before."""
        pictures = [part for part in item.parts if isinstance(part, Image)]
        self.conversation = self.conversation.add(item)
        if item.role == "assistant" and pictures:
            shown = new_item("user", *pictures)
            self._stand_ins.add(shown.id)
            await self._create(shown)
        if item.role != "assistant" or spoken_words(item) or isinstance(item.parts[0], ToolCall):
            await self._create(item)

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
            self._outgoing.put_nowait(event)

    def _post_held(self) -> None:
        for event in self._held:
            self._post(event)
        self._held.clear()

    async def _transmit(self) -> None:
        assert self._socket is not None
        encode = wire.pack if self._socket.subprotocol == wire_settings.OMNI_MSGPACK else wire.encode
        with suppress(websockets.ConnectionClosed):  # the receiving side tells
            while True:
                await self._socket.send(encode(await self._outgoing.get()))
                if self._outgoing.qsize() <= MAX_UNSENT_EVENTS:
                    self._has_room.set()

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

    async def _receive(self) -> None:
        assert self._socket is not None
        try:
            async for frame in self._socket:
                self._take(wire.decode_server_event(frame))
                await asyncio.sleep(0)  # a burst of frames must not keep loops over partials from their turn
            self._lose("the server closed the connection")
        except websockets.ConnectionClosed as closed:
            self._lose(f"the connection broke ({closed})")
        except (OmniError, ValueError) as error:
            self._lose(f"the server sent something that cannot be read ({error})")

    def _take(self, event: events.ServerEvent) -> None:
        self._settle(event)
        if _item_id(event) not in self._stand_ins:
            self.conversation = reduce(self.conversation, event)
        match event:
            case events.OmniSessionCapabilities():
                self.capabilities = event
            case events.InputAudioBufferCommitted():
                self._know_spoken(event.item_id)
            case events.Error():
                self._take_error(event)
            case events.ResponseCreated():
                self._name_response(event)
            case _:
                self._feed_response(event)
        if self.listener is not None:
            self.listener(event)

    def _settle(self, event: events.ServerEvent) -> None:
        """Hand the event to the first that waits for an item of its id or for its type."""
        names = (_type_of(event), _item_id(event))
        receipt = next((receipt for receipt in self._receipts if receipt.answered_by in names), None)
        if receipt is not None and not receipt.answer.done():
            receipt.answer.set_result(event)

    def _take_error(self, event: events.Error) -> None:
        """Give it to what it answers: what it names, else the oldest unanswered, so that nothing waits forever."""
        told = event.error
        error = ServerError(
            told.message, code=told.code, param=told.param, event_id=event.event_id, client_event_id=told.event_id
        )
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
        asked = (event.response.metadata or {}).get("client_event_id")
        response = self._asked.pop(asked if asked in self._asked else next(iter(self._asked)))
        self._running[event.response.id] = response
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


def realtime_url(url: str) -> str:
    """The websocket address of a server: http(s) becomes ws(s), and a bare host gets the realtime path."""
    parts = urlsplit(url if "://" in url else f"ws://{url}")
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise ConnectFailed(f"{url!r} is no server address; give one like ws://127.0.0.1:8765")
    path = parts.path if parts.path not in ("", "/") else REALTIME_PATH
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


async def _connected(url: str, api_key: str | None, form: Wire) -> ClientConnection:
    """Speaks JSON with a server that does not know MessagePack."""
    offered = [websockets.Subprotocol(SUBPROTOCOLS[name]) for name in dict.fromkeys((form, "json"))]
    loopback = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    options: dict[str, Any] = {"proxy": None} if loopback else {}
    try:
        socket = await connect(
            url,
            subprotocols=offered,
            additional_headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            compression=None,  # audio and pictures do not get smaller
            max_size=MAX_INBOUND_FRAME_BYTES,
            ping_interval=20,
            ping_timeout=60,
            open_timeout=CONNECT_TIMEOUT_S,
            **options,
        )
    except websockets.InvalidStatus as refused:
        raise ConnectFailed(_refusal(url, refused.response)) from None
    except (OSError, TimeoutError, websockets.InvalidURI, websockets.InvalidHandshake) as error:
        raise ConnectFailed(
            f"no server at {url} ({error}); start one with `omni serve`, or check the address"
        ) from None
    if socket.subprotocol not in offered:
        await socket.close()
        raise ConnectFailed(f"the server at {url} does not speak {offered[-1]}; give the address of an omni server")
    return socket


def _refusal(url: str, answer: HttpResponse) -> str:
    """What the server said to the handshake, and what to do about it."""
    advice = {401: "give the right api_key=...", 503: "try again later"}.get(answer.status_code, "check the address")
    body = bytes(answer.body or b"")
    try:
        said = str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        said = " ".join(body.decode("utf-8", "replace").split())[:200]
    return f"the server at {url} refused the session (HTTP {answer.status_code}{': ' + said if said else ''}); {advice}"


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
    omni = msgspec.convert(given, wire_settings.OmniSettings)
    if settings.fill is not None:
        omni.given = [part.to_wire() for part in settings.fill]
    return omni


def _function(tool: Tool | OutputType[Any]) -> wire_settings.FunctionTool:
    return wire_settings.FunctionTool(name=tool.name, description=tool.description, parameters=tool.schema)


def _choice(name: str) -> wire_settings.ToolChoice:
    general: dict[str, wire_settings.ToolChoice] = {"none": "none", "auto": "auto", "required": "required"}
    return general.get(name) or wire_settings.ToolChoiceFunction(name=name)


def _item_id(event: events.ServerEvent) -> str | None:
    """The id of the item the event tells, if it tells one."""
    return getattr(getattr(event, "item", None), "id", None)


def _type_of(event: events.ServerEvent) -> str:
    return event.type if isinstance(event, events.UnknownEvent) else str(event.__struct_config__.tag)
