"""One agent's part of a live voice session: turns are heard, answered aloud, and cut when the user speaks into them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from omnisdk.agent_events import (
    AgentResult,
    Called,
    Handoff,
    ModelRequest,
    TurnFailed,
    TurnStopped,
    Understood,
    UserBegan,
    UserSpoke,
    tell_output,
)
from omnisdk.conversation import Conversation, Item, Part, ToolCall
from omnisdk.errors import OmniError, ResponseFailed
from omnisdk.hearing import Hearing
from omnisdk.hooks import Stopped
from omnisdk.loudness import Loudness
from omnisdk.media import Speech
from omnisdk.playback import Cut, Playback
from omnisdk.protocol import events
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.settings import ServerVad
from omnisdk.pump import Pump, Sound
from omnisdk.response import Response
from omnisdk.session import AsyncSession
from omnisdk.settings import AnswerKeywords
from omnisdk.speaking import samples_of
from omnisdk.tools import Tool

if TYPE_CHECKING:
    from omnisdk.agent import Agent

DETECTION = ServerVad(create_response=False)  # the agent asks, once its hooks have seen what was said
CONFIRMED_IN_S = 1.0  # of sound behind what was taken for speech here, the server tells whether it was
CLOSING_SILENCE_S = 0.3  # beyond what ends a turn, behind a microphone that ends
MAX_WAITING_EVENTS = 200  # partials beyond it are left out
PATIENCE_S = 1.0  # with tools that are being cancelled
STOPPED_TOOL = "stopped: the user spoke before it was done"


@dataclass(frozen=True)
class _Began:
    cuts: list[Cut]


class _BeganBefore:
    """The server hears what was heard here, while there was no connection."""


class _NobodyBegan:
    """The server heard no speech where something was heard here."""


@dataclass(frozen=True)
class _Ended:
    item_id: str


@dataclass(frozen=True)
class _ToolDone:
    task: asyncio.Task[Called]


class _TurnOver:
    pass


class _Anew:
    """The connection was lost, and the session with it; what the user was saying is said to another one."""


class _SilenceForever:
    """The microphone has ended."""


@dataclass(frozen=True)
class Successor:
    agent: Agent[object]
    conversation: Conversation


class Talk:
    """One agent's part of it, on a session of its own.

    The session's reader only notes what it sees, and silences the speaker; all else is done here, in its order.
    """

    def __init__(
        self, agent: Agent[object], session: AsyncSession, playback: Playback, told: asyncio.Queue[Any], deps: object
    ) -> None:
        self._agent, self._session, self._playback, self._deps = agent, session, playback, deps
        self._told = told
        self._hearing = Hearing(session)
        self._inbox: asyncio.Queue[Any] = asyncio.Queue()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._turn: asyncio.Task[Successor | None] | None = None
        self._tools: dict[asyncio.Task[Called], tuple[ToolCall, Tool | None]] = {}  # what was called, not yet told
        self._aloud: Response | None = None  # whose sound is played as it comes
        self._began_ms = 0
        self._speaking = False
        self._loudness = Loudness()
        self._overheard = False  # somebody spoke while there was no connection, and the server has not told of it yet
        self._owed = False  # an answer to what a tool gave after its turn was over
        self._silent_forever = False
        self._own: AnswerKeywords = {}
        session.turn_detection, session.listener = DETECTION, self._notice

    async def run(self, pump: Pump, goes_on: bool) -> Successor | None:
        """goes_on: the conversation is to be answered at once. The agent that takes over, None at the end."""
        self._own, pump.overhear = self._spoken_output(), self._overhear
        if goes_on:
            self._begin_turn(None)
        listening = self._task(self._listen(pump))
        try:
            while not self._done:
                successor = await self._act(await self._message(listening))
                if successor is not None:
                    return successor
            return None
        finally:
            self._session.listener = pump.overhear = None
            await self._end_tasks()

    async def _message(self, listening: asyncio.Task[None]) -> object:
        """The next of the inbox. Raises what goes wrong with the microphone or the connection."""
        message = self._task(self._inbox.get())
        while not message.done():
            running = {message} if listening.done() else {message, listening}
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            if listening.done() and not listening.cancelled() and (error := listening.exception()) is not None:
                raise error
        return message.result()

    @property
    def _done(self) -> bool:
        busy = self._speaking or self._turn is not None or self._tools or self._owed or not self._inbox.empty()
        return self._silent_forever and not busy

    def _spoken_output(self) -> AnswerKeywords:
        """Answers are spoken where the model can and the agent's settings do not say otherwise."""
        told = self._session.capabilities
        speaks = told is None or "speech" in told.modalities_out
        return {} if self._session.settings.output is not None or not speaks else {"output": ["speech", "text"]}

    # What the session's reader sees

    def _notice(self, event: events.ServerEvent) -> None:
        match event:
            case events.SessionCreated():
                self._hearing.restart()
                self._inbox.put_nowait(_Anew())
                if self._aloud is not None and not self._aloud.finished:
                    self._playback.stop()  # the answer is made anew, and said from its beginning
            case events.InputAudioBufferSpeechStarted():
                self._began_ms, self._aloud = event.audio_start_ms, None
                cuts, known, self._overheard = self._playback.stop(), self._overheard, False
                self._inbox.put_nowait(_BeganBefore() if known else _Began(cuts))
            case events.InputAudioBufferSpeechStopped():
                self._session.expect_spoken(self._hearing.cut(self._began_ms, event.audio_end_ms))
            case events.InputAudioBufferCommitted():
                self._hearing.taken()
                self._inbox.put_nowait(_Ended(event.item_id))
            case events.ConversationItemInputAudioTranscriptionCompleted():
                self._tell(Understood(event.transcript))
            case events.ResponseOutputAudioDelta() if self._is_aloud(event.response_id):
                self._playback.give(event.item_id, np.frombuffer(event.delta, "<i2").astype(np.int16))

    def _is_aloud(self, response_id: str) -> bool:
        return self._aloud is not None and self._aloud.id == response_id

    def _overhear(self, chunk: Sound) -> None:
        """The microphone as it is read: nobody else hears the user speak into an answer while nothing is connected."""
        sound = chunk if isinstance(chunk, Speech) else Speech.said(samples_of(chunk), WIRE_SAMPLE_RATE_HZ)
        speaks = self._loudness.speaks(sound.pcm, sound.sample_rate_hz)
        if not speaks or self._session.connected or self._speaking or self._overheard or self._turn is None:
            return
        self._overheard, self._aloud = True, None
        self._inbox.put_nowait(_Began(self._playback.stop()))
        self._task(self._confirm())

    async def _confirm(self) -> None:
        """Ask the server, as soon as there is one, whether it heard the same."""
        with suppress(OmniError):  # the connection is lost for good, which others tell
            await self._hearing.settled()
            await asyncio.sleep(CONFIRMED_IN_S)
            await self._hearing.settled()
            self._inbox.put_nowait(_NobodyBegan())

    # What is done about it

    async def _act(self, message: object) -> Successor | None:
        match message:
            case _Began(cuts):
                self._speaking = True
                await self._fall_silent(cuts)
            case _BeganBefore():
                self._speaking = True
            case _NobodyBegan() if self._overheard:
                self._overheard = self._speaking = False
            case _Ended(item_id):
                self._speaking = False
                self._begin_turn(self._session.conversation.item(item_id))
            case _ToolDone(task) if task in self._tools:
                await self._tell_late(task)
            case _TurnOver() if self._turn is not None and self._turn.done():
                turn, self._turn = self._turn, None
                if not turn.cancelled() and (successor := turn.result()) is not None:
                    return successor
            case _Anew():
                self._speaking = False
            case _SilenceForever():
                self._silent_forever = True
        if self._owed and self._turn is None and not self._speaking:
            self._owed = False
            self._begin_turn(None)
        return None

    async def _listen(self, pump: Pump) -> None:
        while (chunk := await pump.next()) is not None:
            await self._hearing.send(chunk)
        seconds = DETECTION.silence_duration_ms / 1000 + CLOSING_SILENCE_S
        await self._hearing.send(np.zeros(int(seconds * WIRE_SAMPLE_RATE_HZ), np.int16))
        await self._hearing.settled()
        self._inbox.put_nowait(_SilenceForever())

    async def _fall_silent(self, cuts: list[Cut]) -> None:
        """The user speaks: the turn ends where it is, and the model knows what was heard of it."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.cancel()
            await asyncio.wait({turn})
            if not turn.cancelled():
                turn.result()  # raises what went wrong just before
        response = self._session.last_response
        if response is not None and not response.finished:
            response.cancel()
            with suppress(OmniError):  # it was the turn's, which is over
                await response
        for cut in cuts:
            await self._session.truncate(cut.item_id, cut.heard_ms)
        self._tell(UserBegan(sum(cut.heard_ms for cut in cuts) / 1000 if cuts else None))
        await self._stop_tools()

    def _begin_turn(self, item: Item | None) -> None:
        turn = self._task(self._take(item))
        self._turn = turn
        turn.add_done_callback(lambda _: self._inbox.put_nowait(_TurnOver()))

    # A turn

    async def _take(self, item: Item | None) -> Successor | None:
        """Answer what the user said, or, without an item, what a tool gave or another agent left."""
        try:
            result = await (self._answer() if item is None else self._answer_to(item))
        except Stopped as stopped:
            self._tell(TurnStopped(str(stopped)))
            return None
        except ResponseFailed as error:
            self._tell(TurnFailed(error))
            return None
        if isinstance(result, Successor):
            return result
        self._tell(result)
        await self._playback.finished()
        return None

    async def _answer_to(self, item: Item) -> Any:
        if isinstance(item.parts[0], Speech):
            self._tell(UserSpoke(item.parts[0]))

        taken_up = False

        async def taken(parts: tuple[Part, ...]) -> Any:
            nonlocal taken_up
            taken_up = True
            if parts != item.parts:
                await self._session.delete(item.id)
                await self._session.send(*parts)
            return await self._answer()

        try:
            return await self._agent.hook.turn.run(item.parts, taken)  # type: ignore[arg-type]
        except Stopped:
            if not taken_up:  # the model is not to see it
                await self._session.delete(item.id)
            raise

    async def _answer(self) -> Any:
        """The agent's result, or a Successor."""
        called: list[Called] = []
        for round_number in range(self._agent.max_rounds + 1):
            before = self._session.conversation
            response = await self._respond(first=round_number == 0)
            if response.status == "cancelled":
                raise asyncio.CancelledError  # the server heard the user before we did
            successor = self._agent.successor(response)
            if successor is not None:
                self._tell(Handoff(successor))
                return Successor(successor, before)
            outcomes = await self._call_all(response)
            called += outcomes
            if all(self._is_silent(one.call) for one in outcomes):
                return AgentResult(response.text, response, self._session.conversation, tuple(called), self._agent)
        raise OmniError(
            f"the model called tools {self._agent.max_rounds} times and gave no answer; allow more max_rounds"
        )

    async def _respond(self, first: bool) -> Response:
        guarded = self._agent.hook.response.checks_results
        own: AnswerKeywords = {**self._own} if first else {**self._own, "tool_choice": "auto"}

        async def answered(request: ModelRequest) -> Response:
            response = self._session.respond(**request.settings)
            self._aloud = None if guarded else response
            self._task(self._watch(response))
            return await response

        try:
            response = await self._agent.hook.response.run(ModelRequest(self._session.conversation, own), answered)
        except Stopped:
            await self._take_back()
            raise
        if guarded and response.speech is not None and response.item_id is not None:
            self._playback.give(response.item_id, response.speech.resampled(WIRE_SAMPLE_RATE_HZ).pcm)
        return response

    async def _take_back(self) -> None:
        """What was answered and may not be said."""
        response = self._session.last_response
        item_id = response.item_id if response is not None else None
        if item_id is not None and self._session.conversation.item(item_id) is not None:
            await self._session.delete(item_id)

    async def _watch(self, response: Response) -> None:
        with suppress(OmniError):  # it is the turn's
            async for partial in response:
                if self._told.qsize() < MAX_WAITING_EVENTS:
                    self._tell(partial)

    # Tools

    async def _call_all(self, response: Response) -> list[Called]:
        """Run what the answer calls, side by side, and tell the model what came of it."""
        tasks = [self._begin_call(call) for call in response.tool_calls]
        if tasks:
            await asyncio.wait(tasks)  # cancelled, it leaves them running
        return [await self._tell_output(task) for task in tasks]

    def _begin_call(self, call: ToolCall) -> asyncio.Task[Called]:
        self._tell(call)
        task = self._task(self._agent.made(call, self._deps, self._tell))
        self._tools[task] = (call, self._agent.tool(call.name))
        return task

    async def _tell_output(self, task: asyncio.Task[Called]) -> Called:
        call, _ = self._tools.pop(task)
        called = Called(call, STOPPED_TOOL, error=True) if task.cancelled() else task.result()
        self._tell(called)
        await tell_output(self._session, called)
        return called

    async def _stop_tools(self) -> None:
        """The user spoke: some tools end, the others are waited for beside the conversation."""
        for task, (_, tool) in list(self._tools.items()):
            if tool is not None and tool.on_interrupt == "cancel" and not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=PATIENCE_S)
            if task.done():
                await self._tell_output(task)
            else:
                task.add_done_callback(lambda done: self._inbox.put_nowait(_ToolDone(done)))

    async def _tell_late(self, task: asyncio.Task[Called]) -> None:
        """What a tool gave after its turn was over, and as it wants to be answered."""
        _, tool = self._tools[task]
        reply = "when_idle" if tool is None else tool.reply
        if reply == "interrupt" and self._turn is not None:
            self._aloud = None
            await self._fall_silent(self._playback.stop())
        if task in self._tools:
            await self._tell_output(task)
        self._owed = self._owed or reply != "silent"

    def _is_silent(self, call: ToolCall) -> bool:
        tool = self._agent.tool(call.name)
        return tool is not None and tool.reply == "silent"

    # Tasks

    def _tell(self, event: object) -> None:
        self._told.put_nowait(event)

    def _task(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _end_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=PATIENCE_S)
