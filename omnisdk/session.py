"""One live session: what is said goes out, what comes back becomes responses and a conversation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, TypeVar, Unpack, overload

from omnisdk.asking import answer_settings, canvas_settings, session_update
from omnisdk.audio_file import Pcm
from omnisdk.canvas import Canvas
from omnisdk.connecting import CONNECT_TIMEOUT_S, Wire
from omnisdk.connection import Connection
from omnisdk.conversation import (
    Conversation,
    Item,
    PartLike,
    as_heard,
    item_to_wire,
    new_item,
    reduce,
)
from omnisdk.editing import Wait
from omnisdk.errors import ConnectFailed, ConnectionLost, MediaError, OmniError, ServerError, SettingsError
from omnisdk.media import Image, Speech
from omnisdk.protocol import events
from omnisdk.protocol import settings as wire_settings
from omnisdk.protocol.errors import TRUNCATE_INVALID_ITEM_ID
from omnisdk.protocol.limits import MAX_IMAGE_BYTES, WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.picture import Picture
from omnisdk.protocol.sent_log import SentLog
from omnisdk.protocol.settings import OutputModality
from omnisdk.receipts import item_id
from omnisdk.reconnecting import Reconnect
from omnisdk.response import Response
from omnisdk.responses import Responses
from omnisdk.retelling import retold, told_again
from omnisdk.server_items import STAND_IN, ServerItems
from omnisdk.settings import AnswerKeywords, GenerationSettings, SharedKeywords
from omnisdk.speaking import Speaking

CHUNK_SAMPLES = WIRE_SAMPLE_RATE_HZ // 2  # half a second of speech a frame
T = TypeVar("T")


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
        self._connection = Connection(
            url,
            api_key=api_key,
            form=wire,
            reconnect=reconnect,
            take=self._take,
            retold=self._told_anew,
            lose=lambda error: self._responses.lose(error),
        )
        self._server_items = ServerItems()
        self._responses = Responses(self._connection, self._server_items)
        self.settings: GenerationSettings = settings or GenerationSettings()
        if self.settings.output_type is not None:
            raise SettingsError("a type as output belongs to one answer; give it to respond(...) or ask(...)")
        if conversation is not None and not isinstance(conversation, Conversation):
            raise OmniError(f"{conversation!r} came as a conversation; give Conversation(...)")
        self.conversation: Conversation = Conversation(system=None if conversation is None else conversation.system)
        self.capabilities: events.OmniSessionCapabilities | None = None
        self.turn_detection: wire_settings.ServerVad | None = None  # set before it is entered, the server hears turns
        self.listener: Callable[[events.ServerEvent], None] | None = None  # sees each event, on the reader's time
        self._opening_items = () if conversation is None else conversation.items
        self._spoken: list[Speech] = []  # committed, its item not yet known
        self._turn_ended_at: float | None = None

    def __repr__(self) -> str:
        state = "lost" if self.lost else "open" if self.connected else "not connected"
        return f"AsyncSession({self.url!r}, {state}, {len(self.conversation)} items)"

    async def __aenter__(self) -> AsyncSession:
        await self._connection.open()
        try:
            await asyncio.wait_for(self._open(), CONNECT_TIMEOUT_S)
        except TimeoutError:
            await self.close()
            raise ConnectFailed(
                f"{self.url} took the connection and did not open a session in {CONNECT_TIMEOUT_S:.0f} s; "
                "check that an omni server listens there"
            ) from None
        except BaseException:  # a cancel too
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the socket; answers still being made end with ConnectionLost."""
        await self._connection.close()

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._connection.url

    @property
    def last_response(self) -> Response | None:
        """The newest answer, None before the first."""
        return self._responses.newest

    @property
    def lost(self) -> bool:
        """Whether the connection is gone."""
        return self._connection.lost is not None

    @property
    def connected(self) -> bool:
        """Whether a connection stands; between a break and the next one it does not, and nobody hears."""
        return self._connection.stands

    @property
    def max_speech_s(self) -> float | None:
        """The longest speech the server takes, None if it did not say."""
        speech_in = self.capabilities.speech_in if self.capabilities else None
        return speech_in.max_seconds if speech_in else None

    def wait_with(self, run: Wait) -> None:
        """How responses let a thread without this loop wait; the sync client's."""
        self._responses.run = run

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
        if not isinstance(picture, Image):
            raise MediaError(f"{picture!r} cannot be shown; give Image(...)")
        shown = Picture(picture.encoded(MAX_IMAGE_BYTES))
        self._connection.post(events.OmniImageBufferAppend(image=shown))

    def speak(self, *, sample_rate_hz: int = WIRE_SAMPLE_RATE_HZ) -> Speaking:
        """Stream speech as it is spoken; leaving the block ends the turn. An answer being made is cancelled."""
        return Speaking(self, sample_rate_hz)

    def respond(self, *, canvas: Canvas | None = None, **settings: Unpack[AnswerKeywords]) -> Response:
        """Ask for an answer to what was said; settings hold for this answer only. Returns at once.

        canvas: how the answer is laid out and what of it is known, in the place of output and recipe; it calls no tool.
        """
        wanted = GenerationSettings(**settings)
        asked = answer_settings(wanted, canvas)
        asked_at, self._turn_ended_at = self._turn_ended_at or time.monotonic(), None
        return self._responses.begin(asked, asked_at=asked_at, form=wanted.output_type)

    def fill(self, canvas: Canvas, **settings: Unpack[SharedKeywords]) -> Response:
        """Have what a canvas leaves open filled in, beside the conversation. Returns at once, as `respond`.

        `respond(canvas=...)` fills one in as an answer to the conversation.
        """
        return self._responses.begin_beside(canvas_settings(canvas, GenerationSettings(**settings)))

    @overload
    async def ask(self, *parts: PartLike, output: type[T], **settings: Unpack[SharedKeywords]) -> T: ...
    @overload
    async def ask(
        self,
        *parts: PartLike,
        output: Sequence[OutputModality] | None = None,
        canvas: Canvas | None = None,
        **settings: Unpack[SharedKeywords],
    ) -> Response: ...
    async def ask(self, *parts: PartLike, output: Any = None, canvas: Canvas | None = None, **settings: Any) -> Any:
        """Say something and wait for the finished answer; with a type as output, for a value of that type.

        canvas: how the answer is laid out, as of `respond`.
        """
        wanted = GenerationSettings(output=output, **settings)
        answer_settings(wanted, canvas)  # what is wrong is told before anything is sent
        await self.send(*parts)
        response = await self.respond(canvas=canvas, output=output, **settings)
        return response if wanted.output_type is None else response.output

    # Asked for by speaking

    def post_audio(self, pcm: Pcm) -> None:
        """Append speech at 24 kHz to the server's input buffer."""
        for first in range(0, len(pcm), CHUNK_SAMPLES):
            chunk = pcm[first : first + CHUNK_SAMPLES].astype("<i2").tobytes()
            self._connection.post(events.InputAudioBufferAppend(audio=chunk))

    def say_again(self, pcm: Pcm) -> None:
        """In a session begun anew, whose server hears the turns: no turn was made of this; all before it is taken."""
        self._connection.forget_audio()
        self._spoken.clear()
        self.post_audio(pcm)

    async def commit_speech(self, speech: Speech) -> None:
        """End the spoken turn; returns when the server has made an item of it."""
        self._turn_ended_at = time.monotonic()
        event = events.InputAudioBufferCommit()
        self._spoken.append(speech)
        try:
            await self._connection.receipt(event, "input_audio_buffer.committed")
        except ServerError:
            self._spoken.remove(speech)
            raise

    def expect_spoken(self, speech: Speech) -> None:
        """The server is about to commit this turn, which it heard itself."""
        self._spoken.append(speech)

    def clear_speech(self) -> None:
        """Take back the speech that was not yet committed."""
        self._connection.post(events.InputAudioBufferClear())

    async def settled(self) -> None:
        """Return when the server has seen to all that was sent before. Raises ConnectionLost."""
        event = events.SessionUpdate(session=wire_settings.SessionSettings())
        await self._connection.receipt(event, "session.updated")

    async def delete(self, item_id: str) -> None:
        """Take an item out of the conversation. Raises ServerError if the server has none of this id."""
        event = events.ConversationItemDelete(item_id=item_id)
        await self._connection.receipt(event, "conversation.item.deleted")

    async def truncate(self, item_id: str, heard_ms: int) -> None:
        """Keep of a spoken answer what was heard, its words in proportion. Raises ServerError."""
        event = events.ConversationItemTruncate(item_id=item_id, content_index=0, audio_end_ms=heard_ms)
        try:
            await self._connection.receipt(event, "conversation.item.truncated")
        except ServerError as error:
            known = self.conversation.item(item_id)
            if error.code != TRUNCATE_INVALID_ITEM_ID or known is None:
                raise
            await self._replace(known, as_heard(known, heard_ms))  # a session begun anew was told its words alone

    def interrupt(self) -> None:
        """Cancel the answer that is being made, if there is one."""
        if self.last_response is not None and not self.last_response.finished:
            self.last_response.note("cancel")

    async def room(self) -> None:
        """Wait until the socket has taken most of what was posted."""
        await self._connection.room()

    # Opening

    async def _open(self) -> None:
        event = session_update(self.settings, self.conversation.system, self.turn_detection)
        await self._connection.receipt(event, "session.updated")
        for item in self._opening_items:
            self.conversation = self.conversation.add(item)
            for told in retold(item):
                await self._create(told)

    async def _add_item(self, item: Item) -> Item:
        self._turn_ended_at = time.monotonic()
        self.conversation = self.conversation.add(item)
        try:
            await self._create(item)
        except ConnectionLost:
            raise
        except OmniError:
            self.conversation = self.conversation.without(item.id)
            raise
        return item

    async def _replace(self, known: Item, item: Item) -> None:
        """An item by another of its id, in its place."""
        at, before = self.conversation.items.index(known), self._server_items.before(known.id)
        await self.delete(known.id)
        others = self.conversation.items
        self.conversation = replace(self.conversation, items=(*others[:at], item, *others[at:]))
        for told in retold(item):
            await self._create(told, before)
            before = told.id

    async def _create(self, item: Item, before: str | None = None) -> None:
        """before: the id of what it stands behind; None for the end."""
        event = events.ConversationItemCreate(item=item_to_wire(item), previous_item_id=before)
        await self._connection.receipt(event, item.id)

    # Told by the connection

    def _take(self, event: events.ServerEvent) -> None:
        if not (item_id(event) or "").startswith(STAND_IN) and not self._responses.is_beside(event):
            self.conversation = reduce(self.conversation, event)
        match event:
            case events.OmniSessionCapabilities():
                self.capabilities = event
            case events.InputAudioBufferCommitted():
                self._know_spoken(event.item_id)
            case events.ConversationItemAdded():
                self._server_items.add(str(event.item.id), event.previous_item_id)
            case events.ConversationItemDeleted():
                self._server_items.remove(event.item_id)
            case events.Error():
                self._take_error(event)
            case events.ResponseCreated():
                self._responses.named(event)
            case _:
                self._responses.feed(event)
        if self.listener is not None:
            self.listener(event)

    def _told_anew(self, unsure: SentLog) -> Iterator[tuple[events.ClientEvent, str]]:
        """What a new session is told; what was being made is asked for again."""
        for made in self._responses.begin_anew():
            self.conversation = self.conversation.without(made)
        self._server_items.clear()
        yield session_update(self.settings, self.conversation.system, self.turn_detection), "session.updated"
        yield from told_again(self.conversation, unsure)

    def _take_error(self, event: events.Error) -> None:
        """Give it to what it answers: what it names, else the oldest unanswered, so that nothing waits forever."""
        told = event.error
        error = ServerError(
            told.message, code=told.code, param=told.param, event_id=event.event_id, client_event_id=told.event_id
        )
        taken = self._responses.refused(told.event_id, error) or self._connection.refused(told.event_id, error)
        if not taken and told.event_id is None:
            self._responses.oldest_refused(error)

    def _know_spoken(self, item_id: str) -> None:
        """The item of the oldest committed speech is now known."""
        if self._spoken:
            self.conversation = self.conversation.add(Item(item_id, "user", (self._spoken.pop(0),)))
