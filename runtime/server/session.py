"""One client's session: client events in, the rules asked, the engine started, events out."""

import logging
import secrets
from collections.abc import Callable

import msgspec
from msgspec import UNSET

from omnisdk.protocol import errors, events, limits, wire
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.response import Response
from omnisdk.protocol.session import Placed, SessionRules, new_session_settings
from omnisdk.protocol.settings import OmniSettings, ResponseSettings
from runtime.engine.engine import Engine, Reply
from runtime.engine.output import EngineOutput, Finished, Usage
from runtime.engine.request import GenerationRequest, Part, SpeechPart, TextPart, Turn
from runtime.server.answer import Answer, AnswerPlan, Heard
from runtime.server.assets import AssetStore
from runtime.server.capabilities import capabilities_of
from runtime.server.editing import edits_of, no_such_canvas, tuning_of
from runtime.server.engine_bridge import EngineBridge
from runtime.server.generation import check_generation, with_generation
from runtime.server.model_card import ModelCard
from runtime.server.outbox import Outbox, OutboxFullError
from runtime.server.parts import num_bytes, read_part, speech_part, with_speech
from runtime.server.task import Task, choose_task, turns_of

log = logging.getLogger(__name__)
SEED_BITS = 32


def new_id(prefix: str) -> str:
    """An id nobody can guess; the address of a picture rests on that."""
    return f"{prefix}_{secrets.token_hex(12)}"


class RealtimeSession:
    """Lives as long as one socket. Its methods run on the event loop.

    asset_url: the address of a picture by its id. on_overflow: told when the client reads too slowly for an answer.
    """

    def __init__(
        self,
        engine: Engine,
        model: ModelCard,
        outbox: Outbox,
        assets: AssetStore,
        asset_url: Callable[[str], str],
        *,
        opted_in: bool,
        on_overflow: Callable[[], None],
    ) -> None:
        self.id = new_id("sess")
        self._model = model
        self._outbox = outbox
        self._assets = assets
        self._asset_url = asset_url
        self._on_overflow = on_overflow
        self._bridge = EngineBridge(engine)
        self._rules = SessionRules(
            new_session_settings(self.id, model.name),
            new_id,
            opted_in=opted_in,
            speaks=model.speaks,
            max_speech_s=model.max_speech_s,
        )
        self._conversation_id = new_id("conv")
        self._parts: dict[str, tuple[Part, ...]] = {}  # what the model reads of each item
        self._answer: Answer | None = None

    def open(self) -> None:
        self._outbox.put(events.SessionCreated(session=self._rules.settings))
        self._tell_capabilities()

    async def receive(self, frame: str | bytes) -> None:
        """Take one text frame. What is wrong with it is told to the client. Raises OutboxFullError."""
        event_id = None
        try:
            event = wire.decode_client_event(frame)
            event_id = event.event_id
            await self._take(event)
        except ProtocolError as error:
            self.tell_error(error, event_id)
        except OutboxFullError:
            raise
        except Exception:
            log.exception("an event of session %s could not be served", self.id)
            self.tell_error(
                ProtocolError(
                    "the server failed at this event; try again", code="internal_error", kind=errors.SERVER_ERROR
                ),
                event_id,
            )

    def tell_error(self, error: ProtocolError, event_id: str | None = None) -> None:
        self._outbox.put(
            events.Error(
                error=events.ErrorDetails(
                    type=error.kind,
                    code=error.code,
                    message=_shortened(error.message, limits.MAX_ERROR_LENGTH),
                    param=error.param and _shortened(error.param, limits.MAX_PARAM_LENGTH),
                    event_id=error.event_id or event_id,
                )
            )
        )

    def close(self) -> None:
        """The client is gone: nothing more is made for it."""
        self._bridge.close()

    async def _take(self, event: events.ClientEvent) -> None:
        match event:
            case events.SessionUpdate():
                check_generation(self._model, event.session.omni, "session.omni")
                self._outbox.put(events.SessionUpdated(session=self._rules.update(event.session)))
                self._tell_capabilities()
            case events.InputAudioBufferAppend():
                self._rules.append_audio(event.audio)
            case events.InputAudioBufferClear():
                self._rules.clear_audio()
                self._outbox.put(events.InputAudioBufferCleared())
            case events.InputAudioBufferCommit():
                self._commit_audio()
            case events.ConversationItemCreate():
                await self._create_item(event)
            case events.ConversationItemRetrieve():
                self._retrieve_item(event.item_id)
            case events.ConversationItemDelete():
                self._rules.delete_item(event.item_id)
                self._parts.pop(event.item_id, None)
                self._outbox.put(events.ConversationItemDeleted(item_id=event.item_id))
            case events.ConversationItemTruncate():
                self._rules.truncate_item(event.item_id)
            case events.ResponseCreate():
                self._create_response(event.response or ResponseSettings())
            case events.ResponseCancel():
                self._bridge.cancel(self._rules.cancel_response(event.response_id))
            case events.OmniResponseFinalize():
                self._finalize_response(event.response_id)
            case events.OmniCanvasEdit():
                self._edit_canvas(event)
            case events.OmniResponseTune():
                self._tune_response(event)
            case events.OutputAudioBufferClear():
                pass  # there is no such buffer on a websocket

    # What is said

    def _commit_audio(self) -> None:
        self._check_media_room(0)
        committed = self._rules.commit_audio()
        item_id = str(committed.placed.item.id)
        self._parts[item_id] = (speech_part(committed.pcm),)
        self._outbox.put(
            events.InputAudioBufferCommitted(item_id=item_id, previous_item_id=committed.placed.previous_item_id)
        )
        self._tell_placed(committed.placed)

    async def _create_item(self, event: events.ConversationItemCreate) -> None:
        self._rules.check_item(event.item, event.previous_item_id)
        parts = [await read_part(part, f"item.content[{index}]") for index, part in enumerate(event.item.content)]
        self._check_media_room(sum(map(num_bytes, parts)))
        placed = self._rules.add_item(event.item, event.previous_item_id)
        self._parts[str(placed.item.id)] = tuple(parts)
        self._tell_placed(placed)

    def _tell_placed(self, placed: Placed) -> None:
        self._outbox.put(
            events.ConversationItemAdded(item=placed.item, previous_item_id=placed.previous_item_id),
            events.ConversationItemDone(item=placed.item, previous_item_id=placed.previous_item_id),
        )

    def _retrieve_item(self, item_id: str) -> None:
        """With its speech, unless the frame would be too large."""
        item = self._rules.retrieve_item(item_id)
        spoken = msgspec.structs.replace(item, content=with_speech(item, self._parts.get(item_id, ())))
        told = events.ConversationItemRetrieved(item=spoken)
        fits = len(wire.encode(told)) <= limits.MAX_OUTBOUND_FRAME_BYTES
        self._outbox.put(told if fits else events.ConversationItemRetrieved(item=item))

    def _check_media_room(self, more_bytes: int) -> None:
        held = sum(num_bytes(part) for parts in self._parts.values() for part in parts)
        if held + more_bytes > limits.MAX_CONVERSATION_MEDIA_BYTES:
            raise ProtocolError(
                f"the speech and pictures of this conversation take {held / 2**20:.0f} MiB; at most "
                f"{limits.MAX_CONVERSATION_MEDIA_BYTES // 2**20} MiB are kept; delete items or begin a new session",
                code=errors.CONVERSATION_TOO_LARGE,
            )

    # Answers

    def _create_response(self, wanted: ResponseSettings) -> None:
        self._rules.check_response(wanted)
        check_generation(self._model, wanted.omni, "response.omni")
        omni = self._rules.answer_omni(wanted)
        turns = turns_of(self._rules.items, self._parts)
        task = choose_task(self._model, [*self._instructions(wanted), *turns], omni)
        answer = self._begin_answer(wanted, omni, task)
        request = self._request(answer, task)
        answer.begin()
        try:
            self._bridge.submit(request, self._take_output)
        except Exception as problem:
            log.exception("the engine refused response %s", request.request_id)
            self._take_output(_failure(request.request_id, problem))

    def _instructions(self, wanted: ResponseSettings) -> list[Turn]:
        own, general = wanted.instructions, self._rules.settings.instructions
        text = own if own is not UNSET and own is not None else general
        return [Turn("system", (TextPart(text),))] if text is not UNSET and text else []

    def _begin_answer(self, wanted: ResponseSettings, omni: OmniSettings, task: Task) -> Answer:
        response = Response(
            id=self._rules.begin_response(),
            status="in_progress",
            output=[],
            output_modalities=["audio" if "speech" in task.outputs else "text"],
            conversation_id=self._conversation_id,
            metadata=None if wanted.metadata is UNSET else wanted.metadata,
        )
        plan = AnswerPlan(
            response=response,
            item_id=new_id("item"),
            canvas_id=new_id("canvas"),
            omni=omni,
            slot_names=tuple(slot.name for slot in task.recipe.slots),
            outputs=task.outputs,
            words=task.words,
            partials_told=self._rules.opted_in,
            heard=self._heard(),
        )
        self._answer = Answer(plan, self._rules, self._outbox, self._assets, self._asset_url, new_id)
        return self._answer

    def _heard(self) -> Heard | None:
        """The user's last speech."""
        for item in reversed(self._rules.items):
            for index, part in reversed(list(enumerate(self._parts.get(str(item.id), ())))):
                if isinstance(part, SpeechPart) and item.role == "user":
                    return Heard(str(item.id), index, len(part.pcm) / part.sample_rate_hz)
        return None

    def _request(self, answer: Answer, task: Task) -> GenerationRequest:
        omni, told = answer.plan.omni, answer.plan.partials_told
        assert omni.partial_every is not UNSET
        assert omni.deadline_ms is not UNSET
        chosen = omni.seed if omni.seed is not UNSET else None
        return GenerationRequest(
            request_id=answer.plan.response.id,
            turns=task.turns,
            recipe=with_generation(task.recipe, omni),
            seed=secrets.randbits(SEED_BITS) if chosen is None else chosen,
            partial_every=0 if told and omni.partials == "off" else omni.partial_every,
            deadline_ms=omni.deadline_ms,
            tenant=self.id,
        )

    def _finalize_response(self, response_id: str) -> None:
        active = self._rules.finalize_response(response_id)
        if self._answer is not None:
            self._answer.finalized = True
        self._bridge.finalize(active)

    def _edit_canvas(self, event: events.OmniCanvasEdit) -> None:
        answer = self._answer
        if answer is None or answer.plan.canvas_id != event.canvas_id:
            raise no_such_canvas(event.canvas_id, None if answer is None else answer.plan.canvas_id)
        edits = edits_of(event.edits, answer.slots, answer.told, self._model.picture)
        response_id = answer.plan.response.id

        def told(reply: Reply) -> None:
            done = events.OmniCanvasEdited(
                canvas_id=event.canvas_id, response_id=response_id, applied_at_step=reply.step
            )
            self._tell_change(reply, done, errors.EDIT_REFUSED, event.event_id)

        self._bridge.edit(response_id, edits, told)

    def _tune_response(self, event: events.OmniResponseTune) -> None:
        response_id = self._rules.tune_response(event.response_id)
        tuning = tuning_of(event)

        def told(reply: Reply) -> None:
            done = events.OmniResponseTuned(response_id=response_id, applied_at_step=reply.step)
            self._tell_change(reply, done, errors.TUNE_REFUSED, event.event_id)

        self._bridge.tune(response_id, tuning, told)

    def _tell_change(self, reply: Reply, done: events.ServerEvent, code: str, event_id: str | None) -> None:
        """Called on the event loop, by the bridge."""
        try:
            if reply.error is None:
                self._outbox.put(done)
            else:
                self.tell_error(ProtocolError(reply.error, code=code), event_id)
        except OutboxFullError:
            self._on_overflow()

    def _take_output(self, output: EngineOutput) -> None:
        """Called on the event loop, by the bridge."""
        answer = self._answer
        if answer is None or answer.plan.response.id != output.request_id:
            return
        try:
            answer.take(output)
        except OutboxFullError:
            self._on_overflow()
        except Exception as problem:
            log.exception("an output of response %s could not be told", output.request_id)
            self._bridge.abandon(output.request_id)
            output = _failure(output.request_id, problem)
            answer.take(output)
        if isinstance(output, Finished):
            self._parts[answer.plan.item_id] = answer.parts
            self._answer = None

    # The extension

    def _tell_capabilities(self) -> None:
        if self._rules.opted_in:
            self._outbox.put(capabilities_of(self._model))


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _failure(request_id: str, problem: Exception) -> Finished:
    return Finished(request_id, "failed", (), Usage(), 0, error=str(problem) or type(problem).__name__)
