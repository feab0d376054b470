"""One socket of a scripted runtime: the real rules, and the script in the place of a model."""

from __future__ import annotations

import asyncio
import secrets
import traceback
from contextlib import suppress

import websockets
from websockets.asyncio.server import ServerConnection

from omnisdk.conversation import item_from_wire, spoken_words
from omnisdk.media import Image, Speech
from omnisdk.protocol import events, items, wire
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.item_list import Placed
from omnisdk.protocol.session import SessionRules, new_session_settings
from omnisdk.protocol.settings import OMNI_VERSION, ResponseSettings
from omnisdk.testing.answering import Answering, HeardItem
from omnisdk.testing.ears import Ears
from omnisdk.testing.media_in import MediaIn
from omnisdk.testing.script import Said, Script, Vanish

MODEL = "scripted"


class ScriptedSession:
    """Reads events until the client leaves; each answer is told by a task of its own."""

    def __init__(self, script: Script, socket: ServerConnection) -> None:
        self._script, self._socket = script, socket
        opted_in = socket.subprotocol == OMNI_VERSION
        settings = new_session_settings(new_id("sess"), MODEL)
        self._rules = SessionRules(settings, new_id, opted_in=opted_in, speaks=True)
        self._ears, self._media = Ears(self._rules.input), MediaIn(self._rules, script)
        self._turn_id = ""  # of the item of the turn that is being spoken
        self._answered: set[str | None] = set()  # items that were there when an answer began
        self._answering: Answering | None = None
        self._task: asyncio.Task[None] | None = None  # the last answer's, which waits for those before it

    async def run(self) -> None:
        with suppress(websockets.ConnectionClosed):
            await self._put(events.SessionCreated(session=self._rules.settings))
            async for frame in self._socket:
                await self._read(frame)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self, frame: str | bytes) -> None:
        event_id = None
        try:
            event = wire.decode_client_event(frame)
            event_id = event.event_id
            await self._take(event)
        except ProtocolError as error:
            told = events.ErrorDetails(
                type=error.kind, code=error.code, message=error.message, param=error.param, event_id=event_id
            )
            await self._put(events.Error(error=told))

    async def _put(self, *told: events.ServerEvent) -> None:
        for event in told:
            await self._socket.send(wire.encode(event))

    async def _take(self, event: events.ClientEvent) -> None:
        match event:
            case events.SessionUpdate():
                await self._put(events.SessionUpdated(session=self._rules.update(event.session)))
            case events.InputAudioBufferAppend():
                await self._hear(event.audio)
            case events.InputAudioBufferClear():
                self._rules.clear_audio()
                await self._put(events.InputAudioBufferCleared())
            case events.InputAudioBufferCommit():
                await self._tell_committed(self._media.committed(self._rules.commit_audio()))
            case events.OmniImageBufferAppend():
                self._media.see(event.image)
            case events.OmniImageBufferClear():
                self._media.see(None)
            case events.ConversationItemCreate():
                await self._tell_placed(self._media.placed(event.item, event.previous_item_id))
            case events.ConversationItemDelete():
                self._rules.conversation.delete(event.item_id)
                await self._put(events.ConversationItemDeleted(item_id=event.item_id))
            case events.ConversationItemTruncate(item_id=item_id, content_index=index):
                heard_ms = self._rules.conversation.truncate(item_id, index, event.audio_end_ms)
                told = events.ConversationItemTruncated(item_id=item_id, content_index=index, audio_end_ms=heard_ms)
                await self._put(told)
            case events.ResponseCreate():
                wanted = event.response or ResponseSettings()
                self._rules.check_response(wanted)
                self._begin(wanted)
            case events.ResponseCancel():
                self._rules.responses.to_cancel(event.response_id)
                self._stop("client_cancelled")
            case _:
                kind = type(event).__struct_config__.tag
                raise ProtocolError(f"a scripted runtime takes no {kind}; script what it would do", code="not_scripted")

    # Listening

    async def _hear(self, audio: bytes) -> None:
        settings = self._rules.turn_detection
        if settings is None:
            self._rules.append_audio(audio)
            return
        pcm, rate_hz = self._rules.decode_audio(audio), self._rules.input_encoding.rate_hz
        for change, at_ms in self._ears.hear(pcm, rate_hz, settings):
            if change == "began":
                self._turn_id = new_id("item")
                await self._put(events.InputAudioBufferSpeechStarted(audio_start_ms=at_ms, item_id=self._turn_id))
                if settings.interrupt_response:
                    self._stop("turn_detected")
                continue
            await self._put(events.InputAudioBufferSpeechStopped(audio_end_ms=at_ms, item_id=self._turn_id))
            committed = self._rules.commit_audio(self._turn_id, until_ms=at_ms)
            await self._tell_committed(self._media.committed(committed))
            if settings.create_response:
                self._begin(ResponseSettings())

    async def _tell_committed(self, placed: Placed) -> None:
        before = placed.previous_item_id
        await self._put(events.InputAudioBufferCommitted(item_id=str(placed.item.id), previous_item_id=before))
        await self._tell_placed(placed)

    async def _tell_placed(self, placed: Placed) -> None:
        item, before = placed.item, placed.previous_item_id
        await self._put(
            events.ConversationItemAdded(item=item, previous_item_id=before),
            events.ConversationItemDone(item=item, previous_item_id=before),
        )

    # Answering

    def _begin(self, wanted: ResponseSettings) -> None:
        before, self._task = self._task, None
        response_id = self._rules.responses.begin() if self._rules.responses.active_id is None else None
        self._task = asyncio.create_task(self._answer(wanted, response_id, before))

    async def _answer(
        self, wanted: ResponseSettings, response_id: str | None, before: asyncio.Task[None] | None
    ) -> None:
        try:
            if before is not None:
                await before
            await self._tell_answer(wanted, response_id or self._rules.responses.begin())
        except websockets.ConnectionClosed:
            return
        except Exception:  # a fault of the script's or of ours: the test is to see it
            self._script.note(f"the scripted runtime failed: {traceback.format_exc()}")
            self._socket.transport.abort()  # nobody is to wait for the answer
            raise

    async def _tell_answer(self, wanted: ResponseSettings, response_id: str) -> None:
        said, heard_at = self._said()
        following = self._script.next(said)
        self._answered |= {item.id for item in self._rules.conversation.items}
        await self._put(*following.told)
        if isinstance(following.answer, Vanish):
            self._socket.transport.abort()
            return
        heard = None if heard_at is None or following.heard is None else HeardItem(*heard_at, following.heard)
        self._answering = Answering(self._rules, self._put, wanted, response_id, new_id)
        await self._answering.tell(following.answer, heard)

    def _said(self) -> tuple[Said, tuple[str, int] | None]:
        """What was said since the last answer began; the item of the last that was spoken, and which part of it."""
        fresh = [item for item in self._rules.conversation.items if item.id not in self._answered]
        results = [item.output for item in fresh if isinstance(item, items.FunctionCallOutput)]
        messages = [item for item in fresh if isinstance(item, items.Message) and item.role == "user"]
        written = [words for item in messages if (words := " ".join(spoken_words(item_from_wire(item))))]
        spoken = [
            (str(item.id), index)
            for item in messages
            for index, part in enumerate(item.content)
            if isinstance(part, items.InputAudio)
        ]
        media = self._media.of(messages)
        said = Said(
            written,
            [part for part in media if isinstance(part, Speech)],
            results,
            [part for part in media if isinstance(part, Image)],
        )
        return said, spoken[-1] if spoken else None

    def _stop(self, reason: str) -> None:
        if self._answering is not None:
            self._answering.stop(reason)


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(8)}"
