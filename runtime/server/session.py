"""One client's session: client events in, the rules asked, the engine started, events out."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from omnisdk.protocol import errors, events, limits, wire
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.item_list import Placed
from omnisdk.protocol.items import Message, OutputAudio
from omnisdk.protocol.picture import Picture
from omnisdk.protocol.session import Committed, SessionRules, new_session_settings
from omnisdk.protocol.settings import ResponseSettings, SessionSettings
from omnisdk.protocol.skeleton import check_tools
from runtime.engine.request import ImagePart, Part, SpeechPart, TextPart
from runtime.server.accounts import Account
from runtime.server.assets import AssetStore
from runtime.server.capabilities import capabilities_of
from runtime.server.dialect import Dialect
from runtime.server.duplex.said import AnsweredCommit
from runtime.server.frames import frame_bytes
from runtime.server.generation import check_generation
from runtime.server.hearing import Hearing
from runtime.server.idle_timer import IdleTimer
from runtime.server.listening import Listening
from runtime.server.model_card import ModelCard
from runtime.server.outbox import Outbox, OutboxFullError
from runtime.server.parts import num_bytes, read_item, read_picture, with_speech
from runtime.server.responses import Responses, new_id

log = logging.getLogger(__name__)


class RealtimeSession:
    """What one client says and is answered, over one socket or several. Its methods run on the event loop.

    asset_url: the address of a picture by its id. dialect: how the client speaks.
    on_overflow: told when the client reads too slowly for an answer. on_socket_event: takes what is said of the socket
    and its session. Raises ProtocolError. on_opted_in: called when the client opts in on the way; gives a resume token,
    if the session can survive its socket.
    """

    def __init__(
        self,
        account: Account,
        model: ModelCard,
        outbox: Outbox,
        assets: AssetStore,
        asset_url: Callable[[str], str],
        *,
        opted_in: bool,
        dialect: Dialect,
        on_overflow: Callable[[], None],
        on_socket_event: Callable[[events.SocketEvent], None],
        on_opted_in: Callable[[], str | None],
    ) -> None:
        self.id = new_id("sess")
        self.last_event_id: str | None = None  # of the client's events that were taken, or refused
        self._dialect = dialect
        self._on_socket_event, self._on_opted_in = on_socket_event, on_opted_in
        self._model = model
        self._outbox = outbox
        self._on_overflow = on_overflow
        self._rules = SessionRules(
            new_session_settings(self.id, model.name, spoken=model.speaks, listens=dialect.hears_turns_end),
            new_id,
            opted_in=opted_in,
            speaks=model.speaks,
            max_speech_s=model.max_speech_s,
        )
        self._parts: dict[str, tuple[Part, ...]] = {}  # what the model reads of each item
        self._hearing = Hearing(
            account.engine, model, self._rules, outbox, new_id, tenant=self.id, on_overflow=on_overflow
        )
        self._responses = Responses(
            account,
            model,
            self._rules,
            self._parts,
            outbox,
            assets,
            asset_url,
            tenant=self.id,
            tell_error=self.tell_error,
            on_overflow=on_overflow,
            on_end=self._answered,
            left_to_answer=self._hearing.leave,
            live=True,
        )
        self._idle = IdleTimer(self._silence)
        self._listening = Listening(self._rules, outbox, new_id, self._take_turn, self._responses.interrupt)
        self._answering: set[asyncio.Task[None]] = set()
        self._seen: ImagePart | None = None  # shown, and not taken by a turn yet
        self._turn_waits = False  # a turn that is to be answered when the answer it interrupted has ended

    def configure(self, settings: SessionSettings) -> None:
        """Begin with these settings, which were checked. To be called before `open`."""
        self._rules.update(settings)

    def open(self, resume_token: str | None = None) -> None:
        """resume_token: with which it can be gone on with over another socket, if it can."""
        created = events.SessionCreated(session=self._rules.settings)
        _tell_token(created, resume_token)
        self._outbox.put(created)
        self._tell_capabilities()

    @property
    def opted_in(self) -> bool:
        """Whether the client takes omni.* events."""
        return self._rules.opted_in

    @property
    def settings(self) -> SessionSettings:
        return self._rules.settings

    @property
    def answering(self) -> bool:
        """Whether any answer is being made."""
        return self._responses.running

    def forget_partials(self) -> None:
        """What was sent of partials may be lost."""
        self._responses.forget_partials()

    async def receive(self, frame: str | bytes) -> events.ClientEvent | None:
        """Take one frame: its event, None if it is none. What is wrong is told. Raises OutboxFullError."""
        event_id, event = None, None
        try:
            for event in self._dialect.read(frame):
                event_id = event.event_id or event_id
                await self._take(event)
        except ProtocolError as error:
            self.tell_error(error, event_id)
            event_id = error.event_id or event_id
        except OutboxFullError:
            raise
        except Exception:  # ours, not the client's: it is told, and the session lives on
            log.exception("an event of session %s could not be served", self.id)
            self.tell_error(errors.internal_error("event"), event_id)
        self.last_event_id = event_id or self.last_event_id
        return event

    def told(self, event: ServerEvent) -> None:
        """To be called with each event as it is sent."""
        self._dialect.told(event)

    def tell_error(self, error: ProtocolError, event_id: str | None = None) -> None:
        self._outbox.put(error_event(error, event_id))

    def close(self) -> None:
        """The client is gone: nothing more is made for it."""
        self._idle.stop()
        self._hearing.close()
        self._responses.close()

    async def _take(self, event: events.ClientEvent) -> None:
        match event:
            case events.SessionUpdate():
                check_generation(self._model, event.session.omni, "session.omni")
                check_tools(event.session.tools, "session.tools")
                self._update(event.session)
            case events.InputAudioBufferAppend():
                self._check_media_room(0)
                await self._listening.append(event.audio)
                await self._answer_waiting()
            case events.InputAudioBufferClear():
                self._listening.clear()
                self._outbox.put(events.InputAudioBufferCleared())
            case events.InputAudioBufferCommit():
                self._check_media_room(0)
                self._listening.commit(answered=isinstance(event, AnsweredCommit))
                await self._answer_waiting()
            case events.OmniImageBufferAppend():
                await self._see(event.image)
            case events.OmniImageBufferClear():
                self._seen, self._rules.image_waits = None, False
            case events.ConversationItemCreate():
                await self._create_item(event)
            case events.ConversationItemRetrieve():
                self._retrieve_item(event.item_id)
            case events.ConversationItemDelete():
                self._rules.conversation.delete(event.item_id)
                self._parts.pop(event.item_id, None)
                self._hearing.forget(event.item_id)
                self._responses.forget(event.item_id)
                self._outbox.put(events.ConversationItemDeleted(item_id=event.item_id))
            case events.ConversationItemTruncate():
                self._truncate_item(event)
            case events.ResponseCreate():
                await self._responses.create(event.response or ResponseSettings())
            case events.ResponseCancel():
                self._responses.cancel(event.response_id)
            case events.OmniResponseFinalize():
                self._responses.finalize(event.response_id)
            case events.OmniCanvasEdit():
                await self._responses.edit(event)
            case events.OmniResponseTune():
                self._responses.tune(event)
            case events.OmniCanvasSteer():
                await self._responses.steer(event)
            case events.OmniCanvasFork():
                self._responses.fork(event)
            case events.SessionResume() | events.SessionEventAck() | events.SessionHeartbeat() | events.SessionClose():
                self._on_socket_event(event)
            case events.OutputAudioBufferClear():
                pass  # there is no such buffer on a websocket

    def _update(self, wanted: SessionSettings) -> None:
        before = self.opted_in
        updated = events.SessionUpdated(session=self._rules.update(wanted))
        if self.opted_in and not before:
            _tell_token(updated, self._on_opted_in())
        self._outbox.put(updated)
        self._tell_capabilities()

    # What is said

    def _take_turn(self, committed: Committed, answered: bool) -> None:
        """A turn that was spoken. answered: whether the client leaves it to the server to answer it."""
        item_id = str(committed.placed.item.id)
        speech = SpeechPart(committed.pcm, committed.rate_hz)
        self._parts[item_id] = self._with_seen((speech,))
        self._outbox.put(
            events.InputAudioBufferCommitted(item_id=item_id, previous_item_id=committed.placed.previous_item_id)
        )
        self._tell_placed(committed.placed)
        self._hearing.begin(item_id, speech)
        self._turn_waits = self._turn_waits or answered

    async def _create_item(self, event: events.ConversationItemCreate) -> None:
        self._rules.check_item(event.item, event.previous_item_id)
        parts = await read_item(event.item, self._rules.input_encoding)
        self._check_media_room(sum(map(num_bytes, parts)))
        placed = self._rules.add_item(event.item, event.previous_item_id)
        self._parts[str(placed.item.id)] = self._with_seen(parts)
        self._tell_placed(placed)

    async def _see(self, picture: Picture) -> None:
        """Keep the newest picture for the turn to come. Raises ProtocolError."""
        if "image" not in self._model.modalities_in:
            raise ProtocolError(
                f"model {self._model.name!r} reads no pictures; it reads {', '.join(self._model.modalities_in)}",
                code=errors.UNSUPPORTED_VALUE,
                param="image",
            )
        seen = await read_picture(picture, "image")
        self._check_media_room(num_bytes(seen))
        self._seen, self._rules.image_waits = seen, True

    def _with_seen(self, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """With the picture that was kept, if the turn just placed took it."""
        if self._seen is None or self._rules.image_waits:
            return parts
        seen, self._seen = self._seen, None
        return (*parts, seen)

    def _tell_placed(self, placed: Placed) -> None:
        self._outbox.put(
            events.ConversationItemAdded(item=placed.item, previous_item_id=placed.previous_item_id),
            events.ConversationItemDone(item=placed.item, previous_item_id=placed.previous_item_id),
        )

    def _retrieve_item(self, item_id: str) -> None:
        """With its speech, unless the frame would be too large."""
        item = self._rules.conversation.retrieve(item_id)
        told = events.ConversationItemRetrieved(item=item)
        if isinstance(item, Message):
            content = with_speech(item, self._parts.get(item_id, ()), self._rules.input_encoding)
            spoken = events.ConversationItemRetrieved(item=msgspec.structs.replace(item, content=content))
            told = spoken if frame_bytes(wire.encode(spoken)) <= limits.MAX_OUTBOUND_FRAME_BYTES else told
        self._outbox.put(told)

    def _truncate_item(self, event: events.ConversationItemTruncate) -> None:
        heard_ms = self._rules.conversation.truncate(event.item_id, event.content_index, event.audio_end_ms)
        item = self._rules.conversation.retrieve(event.item_id)
        assert isinstance(item, Message)
        words = " ".join(part.transcript or "" for part in item.content if isinstance(part, OutputAudio))
        kept = tuple(part for part in self._parts.get(event.item_id, ()) if not isinstance(part, TextPart))
        self._parts[event.item_id] = ((TextPart(words),) if words else ()) + kept
        self._outbox.put(
            events.ConversationItemTruncated(
                item_id=event.item_id, content_index=event.content_index, audio_end_ms=heard_ms
            )
        )

    def _check_media_room(self, more_bytes: int) -> None:
        held = sum(num_bytes(part) for parts in self._parts.values() for part in parts)
        if held + more_bytes > limits.MAX_CONVERSATION_MEDIA_BYTES:
            raise ProtocolError(
                f"the speech and pictures of this conversation take {held / 2**20:.0f} MiB; at most "
                f"{limits.MAX_CONVERSATION_MEDIA_BYTES // 2**20} MiB are kept; delete items or begin a new session",
                code=errors.CONVERSATION_TOO_LARGE,
            )

    # Turns that are answered without being asked

    async def _answer_waiting(self) -> None:
        if self._turn_waits and self._rules.responses.active_id is None:
            self._turn_waits = False
            await self._responses.create(ResponseSettings())

    def _answered(self, item_id: str) -> None:
        """Called when an answer of the conversation has ended."""
        self._answer_next()
        if self._rules.idle_timeout_ms is not None:
            self._outbox.put_rendered(lambda: self._wait_for_speech(item_id))

    async def _wait_for_speech(self, item_id: str) -> Sequence[ServerEvent]:
        """Called when all of an answer was sent; from now on the client plays it, and then waits for its user."""
        idle_ms = self._rules.idle_timeout_ms
        if idle_ms is not None:
            self._listening.note_answer()
            self._idle.begin((self._rules.conversation.spoken_ms(item_id) + idle_ms) / 1000)
        return []

    def _silence(self) -> None:
        """Called when nothing was said for too long after an answer."""
        if self._rules.idle_timeout_ms is None or self._rules.responses.active_id is not None:
            return
        try:
            self._listening.commit_silence()
        except ProtocolError as error:
            self.tell_error(error)
        except OutboxFullError:
            self._on_overflow()
        self._answer_next()

    def _answer_next(self) -> None:
        """A turn that waits is answered, though nobody asks for it now."""
        if self._turn_waits:
            task = asyncio.get_running_loop().create_task(self._answer_told())
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer_told(self) -> None:
        try:
            await self._answer_waiting()
        except ProtocolError as error:
            self.tell_error(error)
        except OutboxFullError:
            self._on_overflow()
        except Exception:  # nobody awaits this task
            log.exception("a turn of session %s could not be answered", self.id)
            self.tell_error(errors.internal_error("turn"))

    # The extension

    def _tell_capabilities(self) -> None:
        if self._rules.opted_in:
            self._outbox.put(capabilities_of(self._model))


def _tell_token(event: events.SessionCreated | events.SessionUpdated, resume_token: str | None) -> None:
    if resume_token is not None:
        event.resume_token, event.attachment_generation = resume_token, 1


def error_event(error: ProtocolError, event_id: str | None = None) -> events.Error:
    """event_id: the client's id of the event at fault, where the error does not know it."""
    return events.Error(
        error=events.ErrorDetails(
            type=error.kind,
            code=error.code,
            message=_shortened(error.message, limits.MAX_ERROR_LENGTH),
            param=error.param and _shortened(error.param, limits.MAX_PARAM_LENGTH),
            event_id=error.event_id or event_id,
        )
    )


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
