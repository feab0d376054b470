"""A model with instructions and tools: it is asked, calls what it needs, hands over or answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, cast, overload

from omnisdk.agent_events import (
    AgentEvent,
    AgentResult,
    Called,
    Handoff,
    ModelRequest,
    Progress,
)
from omnisdk.agent_turn import Parts, Tell, Turn
from omnisdk.asking import answer_settings
from omnisdk.canvas import Canvas
from omnisdk.client import AsyncClient, Client
from omnisdk.conversation import Conversation, PartLike, ToolCall
from omnisdk.errors import OmniError
from omnisdk.hooks import Moments, awaited
from omnisdk.media import Speech
from omnisdk.protocol.settings import OutputModality
from omnisdk.response import Response
from omnisdk.session import AsyncSession
from omnisdk.settings import GenerationSettings, NumberKeywords, SessionKeywords
from omnisdk.structured import OutputType
from omnisdk.tools import Tool, ToolContext, ToolError, tool

if TYPE_CHECKING:
    from omnisdk.live import Live
    from omnisdk.playback import SpeakerLike
    from omnisdk.pump import Sound

MAX_ROUNDS = 8
MAX_HANDOFFS = 8
TRANSFER = "transfer_to_"
Out = TypeVar("Out", covariant=True)
NewOut = TypeVar("NewOut")
Approve = Callable[[ToolCall], Awaitable[bool] | bool]


class Hooks:
    """Functions run around every tool call, every answer of the model, and every turn of an agent.

    @agent.hook.tool.before
    def log(call): print(call.name, call.arguments)
    """

    def __init__(self) -> None:
        self.tool: Moments[ToolCall, Called] = Moments()
        self.response: Moments[ModelRequest, Response] = Moments()
        self.turn: Moments[Parts, AgentResult[Any]] = Moments()


class Agent(Generic[Out]):
    """`Agent(client, "You run a house.", tools=[set_light])`; `await agent.run("lights off")`, or `run_sync`.

    output: what the answer holds (["text", "image"]), or a type: the agent's output is then of that type, whatever
    tools were called on the way. canvas: how its answers are laid out, in the place of output, once no tool is called;
    `run(canvas=...)` for one turn. handoffs: agents that may be given the turn; name, description: how others know this
    one. approve: asked before a tool that needs approval; without it such a tool is declined. max_rounds: of tool
    calls in one run. Further settings are those of every answer, as in `client.session`. Raises SettingsError.
    """

    @overload
    def __init__(
        self: Agent[str],
        client: AsyncClient | Client,
        instructions: str = "",
        *,
        tools: Sequence[Tool] = (),
        output: Sequence[OutputModality] | None = None,
        canvas: Canvas | None = None,
        handoffs: Sequence[Agent[object]] = (),
        name: str = "agent",
        description: str = "",
        approve: Approve | None = None,
        max_rounds: int = MAX_ROUNDS,
        **settings: Unpack[NumberKeywords],
    ) -> None: ...
    @overload
    def __init__(
        self: Agent[NewOut],
        client: AsyncClient | Client,
        instructions: str = "",
        *,
        tools: Sequence[Tool] = (),
        output: type[NewOut],
        handoffs: Sequence[Agent[object]] = (),
        name: str = "agent",
        description: str = "",
        approve: Approve | None = None,
        max_rounds: int = MAX_ROUNDS,
        **settings: Unpack[NumberKeywords],
    ) -> None: ...
    def __init__(
        self,
        client: AsyncClient | Client,
        instructions: str = "",
        *,
        tools: Sequence[Tool] = (),
        output: Sequence[OutputModality] | type[object] | None = None,
        canvas: Canvas | None = None,
        handoffs: Sequence[Agent[object]] = (),
        name: str = "agent",
        description: str = "",
        approve: Approve | None = None,
        max_rounds: int = MAX_ROUNDS,
        **settings: Unpack[NumberKeywords],
    ) -> None:
        if not isinstance(client, AsyncClient | Client):
            raise OmniError(f"{client!r} came as an agent's client; give Client(...) or AsyncClient(...)")
        self.instructions: str = instructions
        self.name: str = name
        self.description: str = description
        self.tools: tuple[Tool, ...] = tuple(tools)
        self.handoffs: tuple[Agent[object], ...] = tuple(handoffs)
        self.canvas: Canvas | None = canvas
        self.hook: Hooks = Hooks()
        self._client, self._approve, self._max_rounds = client, approve, max_rounds
        plain = output is None or isinstance(output, str | Sequence)
        self._form = None if plain else OutputType(cast(type[object], output))
        self._settings = cast(SessionKeywords, settings)
        if output is not None and self._form is None:
            self._settings["output"] = cast(Sequence[OutputModality], output)
        GenerationSettings(**self._settings)  # what is wrong is told here, not where it is run
        self._check_canvas(canvas)
        _check_names(self)

    def __repr__(self) -> str:
        return f"Agent({self.name!r})"

    async def run(
        self,
        *parts: PartLike,
        conversation: Conversation | None = None,
        deps: object = None,
        canvas: Canvas | None = None,
    ) -> AgentResult[Out]:
        """Say something and see it through: tools are called until the model answers.

        conversation: to go on with. deps: for tools that take a ToolContext. canvas: how the answer of this turn is
        laid out, in the place of the agent's own. Raises OmniError after too many rounds.
        """
        self._check_async("await agent.run(...)", "run_sync")
        return await self._turn(parts, conversation, deps, _nobody, canvas)

    def stream(
        self,
        *parts: PartLike,
        conversation: Conversation | None = None,
        deps: object = None,
        canvas: Canvas | None = None,
    ) -> AsyncGenerator[AgentEvent[Out], None]:
        """`run`, seen as it happens: partials of every answer, calls before and after, and the result at the end.

        Leaving the loop cancels the rest.
        """
        self._check_async("agent.stream(...)", "stream_sync")
        return self._stream(parts, conversation, deps, canvas)

    def run_sync(
        self,
        *parts: PartLike,
        conversation: Conversation | None = None,
        deps: object = None,
        canvas: Canvas | None = None,
    ) -> AgentResult[Out]:
        """`run` for a program without an event loop."""
        return self._sync_client().call(lambda _: self._turn(parts, conversation, deps, _nobody, canvas))

    def stream_sync(
        self,
        *parts: PartLike,
        conversation: Conversation | None = None,
        deps: object = None,
        canvas: Canvas | None = None,
    ) -> Iterator[AgentEvent[Out]]:
        """`stream` for a program without an event loop."""
        return self._sync_client().iterate(self._stream(parts, conversation, deps, canvas))

    def live(
        self,
        microphone: AsyncIterable[Sound] | Speech,
        speaker: SpeakerLike,
        *,
        conversation: Conversation | None = None,
        deps: object = None,
    ) -> Live:
        """A live voice session: `await agent.live(microphone(), speaker())`, or a loop over what happens.

        The server hears when the user speaks; then the agent falls silent at once, and its answer stays in the
        conversation as far as it was heard. Tools run beside it.
        """
        self._check_async("agent.live(...)", "live_sync")
        return self._live(microphone, speaker, conversation, deps)

    def live_sync(
        self,
        microphone: AsyncIterable[Sound] | Speech,
        speaker: SpeakerLike,
        *,
        conversation: Conversation | None = None,
        deps: object = None,
    ) -> Live:
        """`live` for a program without an event loop: a plain loop over it, or `.wait()` for the conversation."""
        return self._live(microphone, speaker, conversation, deps, self._sync_client())

    def _live(
        self,
        microphone: AsyncIterable[Sound] | Speech,
        speaker: SpeakerLike,
        conversation: Conversation | None,
        deps: object,
        client: Client | None = None,
    ) -> Live:
        from omnisdk.live import Live

        return Live(self, microphone, speaker, conversation, deps, client)

    # One turn

    async def _stream(
        self, parts: Parts, conversation: Conversation | None, deps: object, canvas: Canvas | None
    ) -> AsyncGenerator[AgentEvent[Out], None]:
        told: asyncio.Queue[Any] = asyncio.Queue()
        turn = asyncio.create_task(self._turn(parts, conversation, deps, told.put_nowait, canvas))
        turn.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (event := await told.get()) is not None:
                if isinstance(event, Response):
                    with suppress(OmniError):  # it is the turn's, which ends with it or is helped by a hook
                        async for partial in event:
                            yield partial
                else:
                    yield event
            yield await turn
        finally:
            turn.cancel()
            await asyncio.gather(turn, return_exceptions=True)

    async def _turn(
        self, parts: Parts, conversation: Conversation | None, deps: object, tell: Tell, canvas: Canvas | None
    ) -> AgentResult[Any]:
        self._check_canvas(canvas)

        async def taken(parts: Parts) -> AgentResult[Any]:
            opening = conversation if conversation is not None else Conversation(system=self.instructions or None)
            agent: Agent[object] = self
            before: tuple[Called, ...] = ()
            for _ in range(MAX_HANDOFFS):
                layout = canvas if canvas is not None else agent.canvas
                result = await Turn(agent, deps, tell, layout, before).run(opening, parts)
                if isinstance(result, AgentResult):
                    return result
                tell(Handoff(result.agent))
                agent, before = result.agent, result.called
                opening, parts = replace(result.conversation, system=agent.instructions or None), ()
            raise OmniError(
                f"the turn was handed over {MAX_HANDOFFS} times and not answered; let fewer agents hand over"
            )

        return await self.hook.turn.run(parts, taken)

    def open_session(self, conversation: Conversation) -> AsyncSession:
        """A session with what the agent may call, to be entered."""
        client = self._client if isinstance(self._client, AsyncClient) else self._client.asynchronous
        tools = [*self.tools, *map(_transfer, self.handoffs)]
        settings: SessionKeywords = {**self._settings, "tools": tools}
        return client.session(conversation, **settings)

    def _sync_client(self) -> Client:
        if isinstance(self._client, AsyncClient):
            raise OmniError("this agent belongs to an AsyncClient; use `await agent.run(...)`, or give it a Client")
        return self._client

    def _check_async(self, what: str, instead: str) -> None:
        if isinstance(self._client, Client):
            raise OmniError(f"this agent belongs to a Client; {what} needs an AsyncClient, or use {instead}")

    def _check_canvas(self, canvas: Canvas | None) -> None:
        """Raises SettingsError for one that this agent cannot answer on."""
        answer_settings(GenerationSettings(output=self._form), canvas)

    @property
    def form(self) -> OutputType[object] | None:
        """What its output is read as; None if it is text."""
        return self._form

    @property
    def max_rounds(self) -> int:
        """How often tools may be called in one run."""
        return self._max_rounds

    def tool(self, name: str) -> Tool | None:
        """One of its own tools."""
        return next((tool for tool in self.tools if tool.name == name), None)

    def successor(self, response: Response) -> Agent[object] | None:
        """The agent that an answer hands the turn to."""
        names = {call.name for call in response.tool_calls}
        return next((other for other in self.handoffs if TRANSFER + other.name in names), None)

    async def made(self, call: ToolCall, deps: object, tell: Tell) -> Called:
        """What comes of a call, with its hooks. A tool that is unknown, declined or fails says so to the model.

        tell: is told the tool's progress. Raises what a tool with on_error="raise" raises.
        """

        async def run(call: ToolCall) -> Called:
            return await self._run_tool(call, deps, tell)

        try:
            return await self.hook.tool.run(call, run)
        except ToolError as error:
            wanted = self.tool(call.name)
            if wanted is not None and wanted.on_error == "raise":
                raise
            return Called(call, str(error), error=True)

    async def _run_tool(self, call: ToolCall, deps: object, tell: Tell) -> Called:
        wanted = self.tool(call.name)
        if wanted is None:
            known = ", ".join(tool.name for tool in self.tools)
            raise ToolError(f"there is no tool {call.name!r}; there are {known}")
        if wanted.needs_approval and not await self._allows(call):
            raise ToolError(f"{call.name} was not allowed")
        context = ToolContext(call.call_id, call.name, deps)
        return Called(call, await wanted.run(call.arguments, context, lambda value: tell(Progress(call, value))))

    async def _allows(self, call: ToolCall) -> bool:
        """Whether a call that needs approval may be made."""
        return self._approve is not None and await awaited(self._approve(call))


def _transfer(agent: Agent[object]) -> Tool:
    """The tool that hands the turn to an agent; it is never run."""

    @tool(name=TRANSFER + agent.name, description=agent.description or f"Ask {agent.name}.")
    def transfer() -> None:
        raise AssertionError("a handoff is no call")

    return transfer


def _check_names(agent: Agent[object]) -> None:
    for given in agent.tools:
        if not isinstance(given, Tool):
            raise OmniError(f"{given!r} came as a tool; make one of a typed function with @tool")
    names = [*(tool.name for tool in agent.tools), *(TRANSFER + other.name for other in agent.handoffs)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OmniError(f"{agent!r} has two tools named {', '.join(twice)}; give each a name of its own")


def _nobody(_event: object) -> None:
    """Nobody watches."""
