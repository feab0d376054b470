"""The answers of one session: begun, changed, ended; those of the conversation and those beside it."""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from omnisdk.protocol import errors, events
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputAudio, Item, Message
from omnisdk.protocol.response import Response
from omnisdk.protocol.session import SessionRules, is_side
from omnisdk.protocol.settings import OmniSettings, ResponseSettings, TokenLimit
from omnisdk.protocol.skeleton import check_tools
from runtime.engine.changes import Dated, Editing
from runtime.engine.engine import Reply
from runtime.engine.given import Given, GivenText
from runtime.engine.output import EngineOutput, Finished, Started, Usage
from runtime.engine.recipe import Recipe
from runtime.engine.request import GenerationRequest, Part, SpeechPart, TextPart, Turn
from runtime.server.accounts import Account
from runtime.server.answer import Answer, AnswerPlan
from runtime.server.assets import AssetStore
from runtime.server.call_answer import CallAnswer
from runtime.server.changing import changes_of, steering_of, tuning_of
from runtime.server.editing import edits_of, no_such_canvas, opened_by
from runtime.server.engine_bridge import EngineBridge
from runtime.server.generation import check_generation, limited, truncation_of, with_generation
from runtime.server.given import check_given, read_given
from runtime.server.hearing import Heard
from runtime.server.meaning import written
from runtime.server.model_card import ModelCard
from runtime.server.outbox import Outbox, OutboxFullError
from runtime.server.parts import read_item
from runtime.server.task import TRANSCRIPT, Choice, Task, turns_of
from runtime.server.tools.deciding import Call, Deciding, Undecided
from runtime.server.tools.offer import Offer, call_recipe

log = logging.getLogger(__name__)
SEED_BITS = 32
KEPT_STEPS = 64  # of an answer, for forks
MOST_PAST = 8  # answers of a session that are over and can still be forked
Parts = Mapping[str, tuple[Part, ...]]


def new_id(prefix: str) -> str:
    """An id nobody can guess; the address of a picture rests on that."""
    return f"{prefix}_{secrets.token_hex(12)}"


@dataclass(frozen=True)
class BegunWith:
    """What of an answer is fixed before it begins."""

    given: tuple[Given, ...] = ()
    changes: tuple[Dated, ...] = ()

    def with_heard(self, words: str | None, recipe: Recipe) -> "BegunWith":
        """What was heard on the way stands in the answer already: it is not listened to twice."""
        names = [slot.name for slot in recipe.slots]
        if words is None or TRANSCRIPT not in names[:-1] or any(part.slot == TRANSCRIPT for part in self.given):
            return self
        return replace(self, given=(*self.given, GivenText(TRANSCRIPT, (words,))))


class Responses:
    """Lives as long as its session, on the event loop.

    account: on which the answers are made.
    parts: what the model reads of each item of the conversation; finished answers are put there.
    tell_error: sends an error to the client. on_overflow: told when the client reads too slowly.
    on_end: called with the item when an answer of the conversation has ended. left_to_answer: asked, when an answer
    begins that hears what was said in an item, whether it is to tell it. live: whether somebody talks with it, whose
    words may ask for a picture where nothing else does.
    """

    def __init__(
        self,
        account: Account,
        model: ModelCard,
        rules: SessionRules,
        parts: dict[str, tuple[Part, ...]],
        outbox: Outbox,
        assets: AssetStore,
        asset_url: Callable[[str], str],
        *,
        tenant: str,
        tell_error: Callable[[ProtocolError, str | None], None],
        on_overflow: Callable[[], None],
        on_end: Callable[[str], None],
        left_to_answer: Callable[[str], bool] = lambda _: True,
        live: bool = False,
    ) -> None:
        self._model, self._rules, self._parts, self._outbox = model, rules, parts, outbox
        self._assets, self._asset_url, self._tenant = assets, asset_url, tenant
        self._tell_error, self._on_overflow, self._on_end = tell_error, on_overflow, on_end
        self._left_to_answer, self._live = left_to_answer, live
        self._account, self._bridge = account, EngineBridge(account.engine)
        self._conversation_id = new_id("conv")
        self._answers: dict[str, Answer] = {}  # by response
        self._past: deque[Answer] = deque()  # that are over and can still be forked
        self._asked_last: dict[str, str] = {}  # the last item of what a response answers, by response
        # Items whose answers failed, perhaps as too long, or were cancelled while they held nothing: they stand alone.
        self._unanswered: set[str] = set()
        self._working: set[asyncio.Task[None]] = set()

    def close(self) -> None:
        """The client is gone: nothing more is made for it."""
        for task in self._working:
            task.cancel()
        for answer in self._past:
            self._bridge.forget(answer.plan.response.id)
        self._bridge.close()

    @property
    def running(self) -> bool:
        """Whether any answer is being made."""
        return bool(self._answers)

    def forget_partials(self) -> None:
        """What was sent of partials may be lost: the next of each answer tells all there is."""
        for answer in self._answers.values():
            answer.forget_partials()

    def forget(self, item_id: str) -> None:
        """An item is gone from the conversation."""
        self._unanswered.discard(item_id)

    # The beginning

    async def create(self, wanted: ResponseSettings) -> None:
        """Raises ProtocolError."""
        self._account.check()
        self._rules.check_response(wanted)
        check_generation(self._model, wanted.omni, "response.omni")
        check_tools(wanted.tools, "response.tools")
        omni = self._rules.answer_omni(wanted)
        begun_with = BegunWith(await read_given(omni.given, "response.omni.given", self._rules.input_encoding))
        items, parts = await self._read(wanted)
        turns = [*self._instructions(wanted), *turns_of(items, parts, self._unanswered)]
        offer = Offer.of(self._rules.with_own(wanted), items)
        offer = offer if omni.canvas is UNSET else Offer((), forced=False)  # what is laid out calls no tool
        choice = Choice(self._model, tuple(turns), omni, plain=self._live and self._rules.says_no_output(wanted))
        said = _said(turns[-1], items, parts)
        task = None if offer.forced else choice.task(said)
        fixed = bool(begun_with.given) or bool(omni.changes)  # of the answer as it is laid out now
        unsure = said is None and task is not None and not fixed and choice.hangs_on_words
        if task is not None:
            check_given(begun_with.given, task.recipe, "response.omni.given")
        begun_with = replace(begun_with, changes=await self._changes(omni, turns if task is None else task.turns))
        self._rules.check_response(wanted)  # a turn that was heard may have been answered meanwhile
        plan = self._plan(wanted, omni, self._to_tell(_heard(items, parts), offer, task, unsure))
        answer = self._enter(Answer, plan if task is None or offer.tools or unsure else _planned(plan, task))
        answer.begin()
        self._asked_last[plan.response.id] = str(items[-1].id)
        if offer.tools or unsure:
            self._spawn(self._call_or_answer(answer, offer, choice, said, begun_with))
        elif task is not None:
            self._submit(answer, task.recipe, task.turns, begun_with)

    def _enter(self, kind: Callable[..., Answer], plan: AnswerPlan, **own: Any) -> Answer:
        answer = kind(plan, self._rules, self._outbox, self._assets, self._asset_url, new_id, **own)
        self._answers[plan.response.id] = answer
        return answer

    def _submit(self, answer: Answer, recipe: Recipe, turns: tuple[Turn, ...], begun_with: BegunWith) -> None:
        answer.asked = [(0, turns)]
        kept_steps = KEPT_STEPS if answer.plan.partials_told else 0
        request = self._request(answer, recipe, turns)
        request = replace(
            request,
            recipe=limited(request.recipe, answer.plan.response.max_output_tokens),
            given=begun_with.given,
            changes=begun_with.changes,
            kept_steps=kept_steps,
        )
        try:
            self._bridge.submit(request, self._take_output)
        except Exception as problem:  # whatever an engine raises, the response was begun and has to end
            log.exception("the engine refused response %s", request.request_id)
            self._take_output(_failure(request.request_id, problem))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    # Tools

    async def _call_or_answer(
        self,
        answer: Answer,
        offer: Offer,
        choice: Choice,
        said: str | None,
        begun_with: BegunWith,
    ) -> None:
        """Begin the call of one of the tools or, where none is called, the answer. What was spoken is heard before.

        said: the words of the turn, if they are known already.
        """
        try:
            decision = await Deciding(self._model, partial(self._ask, answer), answer.hear).decide(offer, choice.turns)
            words = answer.words_heard
            task = None if isinstance(decision, Call) else choice.task(said) if words is None else choice.heard(words)
        except OutboxFullError:
            self._on_overflow()
            return
        except Undecided as undecided:
            self._take_output(replace(undecided.finished, usage=Usage()))  # it is spent already
            return
        except Exception as problem:  # nobody awaits this task, and the response has to end
            log.exception("no tool could be chosen for response %s", answer.plan.response.id)
            self._take_output(_failure(answer.plan.response.id, problem))
            return
        if isinstance(decision, Call):
            name, skeleton = decision.tool.name, decision.skeleton
            calling = self._enter(CallAnswer, answer.plan, name=name, skeleton=skeleton)
            calling.finalized, calling.spent = answer.finalized, answer.spent
            recipe = call_recipe(decision.tool, skeleton)
            if recipe.slots:
                self._submit(calling, recipe, decision.turns, replace(begun_with, given=()))
            else:
                response_id = answer.plan.response.id
                self._take_output(Started(response_id, (), 0, 0))
                self._take_output(Finished(response_id, "completed", (), Usage(), 0))
        elif task is not None:
            answering = self._enter(Answer, _planned(answer.plan, task))
            answering.heard(answer)
            answering.spent = answer.spent
            self._submit(answering, task.recipe, task.turns, begun_with.with_heard(answer.words_heard, task.recipe))

    async def _ask(self, answer: Answer, recipe: Recipe, turns: tuple[Turn, ...]) -> Finished:
        """A request of its own on the way to an answer; cancelled with it."""
        finished = await self._bridge.ask(self._request(answer, recipe, turns, partials=False))
        answer.spent += finished.usage
        return replace(finished, status="cancelled") if answer.cancelled else finished

    async def _read(self, wanted: ResponseSettings) -> tuple[Sequence[Item], Parts]:
        """What is answered: the conversation, or the response's own input. Raises ProtocolError."""
        items = self._rules.read_by(wanted)
        if wanted.input is UNSET:
            return items, self._parts
        parts = {}
        for index, item in enumerate(items):
            known = self._parts.get(str(item.id))
            path = f"response.input[{index}]"
            own = known if known is not None else await read_item(item, self._rules.input_encoding, path)
            parts[str(item.id)] = own
        return items, parts

    async def _changes(self, omni: OmniSettings, turns: Sequence[Turn]) -> tuple[Dated, ...]:
        return await changes_of(omni.changes, turns, self._rules, "response.omni.changes")

    def _instructions(self, wanted: ResponseSettings) -> list[Turn]:
        own, general = wanted.instructions, self._rules.settings.instructions
        text = own if own is not UNSET and own is not None else general
        return [Turn("system", (TextPart(text),))] if text is not UNSET and text else []

    def _plan(self, wanted: ResponseSettings, omni: OmniSettings, heard: Heard | None) -> AnswerPlan:
        """Of a response that begins now, what it holds left open."""
        side = is_side(wanted)
        spoken = omni.output is not UNSET and "speech" in omni.output
        response = Response(
            id=self._rules.responses.begin(side=side),
            status="in_progress",
            output=[],
            output_modalities=["audio" if spoken else "text"],
            conversation_id=None if side else self._conversation_id,
            max_output_tokens=self._token_limit(wanted),
            metadata=None if wanted.metadata is UNSET else wanted.metadata,
        )
        return AnswerPlan(
            response=response,
            item_id=new_id("item"),
            canvas_id=new_id("canvas"),
            omni=omni,
            slot_names=(),
            outputs=frozenset(),
            words=None,
            partials_told=self._rules.opted_in,
            heard=heard,
            encoding=self._rules.output_encoding(wanted),
            speed=self._rules.speed(wanted),
            side=side,
        )

    def _to_tell(self, heard: Heard | None, offer: Offer, task: Task | None, unsure: bool) -> Heard | None:
        """The speech whose transcript an answer tells: that which it writes down on its way."""
        writes = (
            offer.tools or unsure or (task is not None and any(slot.name == TRANSCRIPT for slot in task.recipe.slots))
        )
        return heard if heard is not None and writes and self._left_to_answer(heard.item_id) else None

    def _token_limit(self, wanted: ResponseSettings) -> TokenLimit:
        own, general = wanted.max_output_tokens, self._rules.settings.max_output_tokens
        return own if own is not UNSET else general if general is not UNSET else "inf"

    def _request(
        self, answer: Answer, recipe: Recipe, turns: tuple[Turn, ...], partials: bool = True
    ) -> GenerationRequest:
        omni, told = answer.plan.omni, answer.plan.partials_told
        assert omni.partial_every is not UNSET
        chosen = omni.seed if omni.seed is not UNSET else None
        return GenerationRequest(
            request_id=answer.plan.response.id,
            turns=turns,
            recipe=with_generation(recipe, omni),
            seed=secrets.randbits(SEED_BITS) if chosen is None else chosen,
            partial_every=0 if not partials or (told and omni.partials == "off") else omni.partial_every,
            deadline_ms=answer.plan.deadline_ms,
            tenant=self._tenant,
            truncation=truncation_of(self._rules.settings.truncation),
        )

    # Changes

    def cancel(self, response_id: str | None) -> None:
        """Raises ProtocolError."""
        self._stop(self._rules.responses.to_cancel(response_id))

    def _stop(self, response_id: str) -> None:
        if response_id in self._answers:
            self._answers[response_id].cancelled = True
        self._bridge.cancel(response_id)

    def interrupt(self) -> None:
        """The user speaks into the answer of the conversation, if one is being made."""
        answer = self._answers.get(self._rules.responses.active_id or "")
        if answer is not None:
            answer.interrupted = True
            self._stop(answer.plan.response.id)

    def finalize(self, response_id: str) -> None:
        """Raises ProtocolError."""
        active = self._rules.responses.to_finalize(response_id)
        if active in self._answers:
            self._answers[active].finalized = True
        self._bridge.finalize(active)

    def _filling(self, canvas_id: str, what: str = "edited") -> Answer:
        """what: is to be done to it. Raises ProtocolError."""
        answers = list(self._answers.values())
        answer = next((answer for answer in answers if answer.plan.canvas_id == canvas_id), None)
        if answer is None:
            raise no_such_canvas(canvas_id, answers[-1].plan.canvas_id if answers else None, what)
        return answer

    def fork(self, event: events.OmniCanvasFork) -> None:
        """A second answer that goes on from what the first knows, now or after a step. Raises ProtocolError."""
        first = self._forked(event)
        if isinstance(first, CallAnswer) or not first.slots:
            raise ProtocolError(
                "this canvas cannot be forked: only an answer whose omni.canvas.created was told, and that is no "
                "function call, can be gone on with twice",
                code=errors.FORK_REFUSED,
                param="canvas_id",
            )
        self._rules.check_fork(event.metadata)
        self._account.check()
        response = msgspec.structs.replace(
            first.plan.response,
            id=self._rules.responses.begin(side=True),
            conversation_id=None,
            metadata=event.metadata,
        )
        plan = replace(first.plan, response=response, item_id=new_id("item"), canvas_id=new_id("canvas"), side=True)
        second = self._enter(Answer, plan)
        second.heard(first)
        second.finalized = False
        second.asked = first.asked_until(event.at_step)
        seed = secrets.randbits(SEED_BITS) if event.seed is None else event.seed
        take = partial(self._take_fork, second, event)
        self._bridge.fork(first.plan.response.id, response.id, seed, take, event.at_step)

    def _take_fork(self, second: Answer, event: events.OmniCanvasFork, output: EngineOutput) -> None:
        """The engine alone knows which steps it keeps: a fork that cannot be is refused, and no response begins."""
        if isinstance(output, Finished) and not second.slots:
            self._withdraw(second)
            param = "canvas_id" if event.at_step is None else "at_step"
            reason = output.error or "the server ends"
            self._answer_change(ProtocolError(reason, code=errors.FORK_REFUSED, param=param), event.event_id)
            return
        if isinstance(output, Started):
            self._within_outbox(second.begin)
        self._take_output(output)

    def _withdraw(self, answer: Answer) -> None:
        """One that was never told."""
        del self._answers[answer.plan.response.id]
        self._rules.responses.end(answer.plan.response.id)

    def _forked(self, event: events.OmniCanvasFork) -> Answer:
        over = next((answer for answer in self._past if answer.plan.canvas_id == event.canvas_id), None)
        if over is None:
            return self._filling(event.canvas_id, "forked")
        if event.at_step is None:
            raise ProtocolError(
                "this canvas is finished, so there is nothing left to go on with; name at_step, the step to go on from",
                code=errors.FORK_REFUSED,
                param="at_step",
            )
        return over

    async def steer(self, event: events.OmniCanvasSteer) -> None:
        """Raises ProtocolError."""
        answer = self._filling(event.canvas_id, "steered")
        if isinstance(answer, CallAnswer) or not answer.slots:
            raise ProtocolError(
                "this answer cannot be steered: only one whose omni.canvas.created was told, and that is no function "
                "call, can",
                code=errors.STEER_REFUSED,
                param="canvas_id",
            )
        opened = None
        if event.steer.opened is not None:
            board = answer.board(self._model)
            opened = await asyncio.to_thread(opened_by, event.steer.opened, board, "steer.opened")
        steering = await steering_of(event.steer, answer.turns, opened, self._rules)
        response_id = answer.plan.response.id

        def told(reply: Reply) -> None:
            if reply.error is None:
                answer.asked.append((reply.step, steering.turns))
            done = events.OmniCanvasSteered(
                canvas_id=event.canvas_id, response_id=response_id, applied_at_step=reply.step
            )
            self._tell_change(reply, done, errors.STEER_REFUSED, "steer", event.event_id)

        self._bridge.change(response_id, steering, told)

    async def edit(self, event: events.OmniCanvasEdit) -> None:
        """Masks are decoded in a thread. Raises ProtocolError."""
        answer = self._filling(event.canvas_id)
        edits = await asyncio.to_thread(edits_of, event.edits, answer.board(self._model))
        response_id = answer.plan.response.id

        def told(reply: Reply) -> None:
            done = events.OmniCanvasEdited(
                canvas_id=event.canvas_id, response_id=response_id, applied_at_step=reply.step
            )
            self._tell_change(reply, done, errors.EDIT_REFUSED, "edits", event.event_id)

        self._bridge.change(response_id, Editing(edits), told)

    def tune(self, event: events.OmniResponseTune) -> None:
        """Raises ProtocolError."""
        response_id = self._rules.responses.to_tune(event.response_id)
        tuning = tuning_of(event)

        def told(reply: Reply) -> None:
            done = events.OmniResponseTuned(response_id=response_id, applied_at_step=reply.step)
            self._tell_change(reply, done, errors.TUNE_REFUSED, None, event.event_id)

        self._bridge.change(response_id, tuning, told)

    def _tell_change(
        self, reply: Reply, done: events.ServerEvent, code: str, param: str | None, event_id: str | None
    ) -> None:
        """Called on the event loop, by the bridge."""
        if reply.error is None:
            self._within_outbox(lambda: self._outbox.put(done))
        else:
            self._answer_change(ProtocolError(reply.error, code=code, param=param), event_id)

    def _answer_change(self, error: ProtocolError, event_id: str | None) -> None:
        self._within_outbox(lambda: self._tell_error(error, event_id))

    def _within_outbox(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except OutboxFullError:
            self._on_overflow()

    # What comes

    def _take_output(self, output: EngineOutput) -> None:
        """Called on the event loop, by the bridge."""
        answer = self._answers.get(output.request_id)
        if answer is None:
            return
        try:
            self._tell(answer, output)
        except Exception as problem:  # ours; a client that waits for the end of its response gets one
            log.exception("an output of response %s could not be told", output.request_id)
            self._bridge.abandon(output.request_id)
            output = _failure(output.request_id, problem)
            self._tell(answer, output)
        if isinstance(output, Finished):
            self._end(answer, output)

    def _tell(self, answer: Answer, output: EngineOutput) -> None:
        self._within_outbox(lambda: answer.take(output))

    def _end(self, answer: Answer, finished: Finished) -> None:
        del self._answers[answer.plan.response.id]
        asked_last = self._asked_last.pop(answer.plan.response.id, None)
        unsaid = finished.status == "failed" or (finished.status == "cancelled" and not answer.parts)
        if asked_last is not None and unsaid:
            self._unanswered.add(asked_last)
        self._tell_limits()
        if answer.plan.partials_told and answer.slots:
            self._keep(answer)
        if not answer.plan.side:
            if self._rules.conversation.holds(answer.plan.item_id):  # or the client deleted it while it was made
                self._parts[answer.plan.item_id] = answer.parts
            self._on_end(answer.plan.item_id)

    def _tell_limits(self) -> None:
        limits = self._account.told()
        if limits is not None:
            self._within_outbox(lambda: self._outbox.put(limits))

    def _keep(self, answer: Answer) -> None:
        """For forks; of too many the oldest is let go."""
        self._past.append(answer)
        if len(self._past) > MOST_PAST:
            self._bridge.forget(self._past.popleft().plan.response.id)


def _planned(plan: AnswerPlan, task: Task) -> AnswerPlan:
    """The plan of a response that is this task's answer."""
    names = tuple(slot.name for slot in task.recipe.slots)
    modalities = ["audio" if "speech" in task.outputs else "text"]
    response = msgspec.structs.replace(plan.response, output_modalities=modalities)
    return replace(plan, response=response, slot_names=names, outputs=task.outputs, words=task.words)


def _heard(items: Sequence[Item], parts: Parts) -> Heard | None:
    """The user's last speech."""
    for item in reversed(items):
        for index, part in reversed(list(enumerate(parts.get(str(item.id), ())))):
            if isinstance(part, SpeechPart) and isinstance(item, Message) and item.role == "user":
                return Heard(str(item.id), index, len(part.pcm) / part.sample_rate_hz)
    return None


def _said(turn: Turn, items: Sequence[Item], parts: Parts) -> str | None:
    """The words of the last turn; None if it was spoken and nobody wrote it down yet."""
    words = written(turn)
    if not any(isinstance(part, SpeechPart) for part in turn.parts):
        return words
    heard = _heard(items, parts)
    item = next((item for item in items if heard is not None and item.id == heard.item_id), None)
    part = item.content[heard.content_index] if heard is not None and isinstance(item, Message) else None
    if not isinstance(part, InputAudio) or part.transcript is None:
        return None
    return f"{words} {part.transcript}".strip()


def _failure(request_id: str, problem: Exception) -> Finished:
    return Finished(request_id, "failed", (), Usage(), 0, error=str(problem) or type(problem).__name__)
