"""A model with instructions and tools: it is asked, calls what it needs, and answers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from omnisdk.client import AsyncClient, Client
from omnisdk.conversation import Conversation, PartLike, ToolCall, ToolResult
from omnisdk.errors import OmniError
from omnisdk.media import Image, Speech
from omnisdk.response import Response
from omnisdk.session import AsyncSession
from omnisdk.tools import Output, Tool, ToolContext, ToolError

MAX_ROUNDS = 8
BeforeTool = Callable[[ToolCall], Awaitable[None] | None]
AfterTool = Callable[[ToolCall, Output], Awaitable[None] | None]
Approve = Callable[[ToolCall], Awaitable[bool] | bool]


@dataclass(frozen=True)
class Called:
    """A call the model made and what it was told. error: whether the tool failed; `output` then says why."""

    call: ToolCall
    output: Output
    error: bool = False


@dataclass(frozen=True)
class AgentResult:
    """The last answer, all that was said, and all that was called."""

    response: Response
    conversation: Conversation
    tool_calls: tuple[Called, ...]

    @property
    def text(self) -> str:
        return self.response.text or ""

    @property
    def image(self) -> Image | None:
        return self.response.image

    @property
    def speech(self) -> Speech | None:
        return self.response.speech


class Hooks:
    """Functions run around tool calls, sync or async, in the order they were added. What they raise ends the run.

    @agent.hook.before_tool
    def log(call): print(call.name, call.arguments)
    """

    def __init__(self) -> None:
        self._before: list[BeforeTool] = []
        self._after: list[AfterTool] = []

    def before_tool(self, function: BeforeTool) -> BeforeTool:
        self._before.append(function)
        return function

    def after_tool(self, function: AfterTool) -> AfterTool:
        self._after.append(function)
        return function

    async def run_before(self, call: ToolCall) -> None:
        for function in self._before:
            await _awaited(function(call))

    async def run_after(self, call: ToolCall, output: Output) -> None:
        for function in self._after:
            await _awaited(function(call, output))


class Agent:
    """`Agent(client, "You run a house.", tools=[set_light])`; `await agent.run("lights off")`, or `run_sync`.

    approve: asked before a tool that needs approval; without it such a tool is declined. max_rounds: of tool calls
    in one run. Further settings are those of every answer, as in `client.session`.
    """

    def __init__(
        self,
        client: AsyncClient | Client,
        instructions: str = "",
        *,
        tools: Sequence[Tool[..., Any]] = (),
        approve: Approve | None = None,
        max_rounds: int = MAX_ROUNDS,
        **settings: Any,
    ) -> None:
        self.instructions, self.tools = instructions, tuple(tools)
        self.hook = Hooks()
        self._client, self._approve, self._max_rounds, self._settings = client, approve, max_rounds, settings

    async def run(self, *parts: PartLike, conversation: Conversation | None = None, deps: Any = None) -> AgentResult:
        """Say something and see it through: tools are called until the model answers.

        conversation: to go on with. deps: for tools that take a ToolContext. Raises OmniError after too many rounds.
        """
        if isinstance(self._client, Client):
            raise OmniError("this agent belongs to a Client; use run_sync, or give the agent an AsyncClient")
        return await self._run(self._client, parts, conversation, deps)

    def run_sync(self, *parts: PartLike, conversation: Conversation | None = None, deps: Any = None) -> AgentResult:
        """`run` for a program without an event loop."""
        if isinstance(self._client, AsyncClient):
            raise OmniError("this agent belongs to an AsyncClient; use `await agent.run(...)`, or give it a Client")
        return self._client.call(lambda client: self._run(client, parts, conversation, deps))

    async def _run(
        self, client: AsyncClient, parts: Sequence[PartLike], conversation: Conversation | None, deps: Any
    ) -> AgentResult:
        opening = conversation if conversation is not None else Conversation(system=self.instructions or None)
        async with client.session(opening, tools=self.tools, **self._settings) as session:
            await session.send(*parts)
            response = await session.respond()
            called: list[Called] = []
            for _ in range(self._max_rounds):
                if not response.tool_calls:
                    return AgentResult(response, session.conversation, tuple(called))
                for call in response.tool_calls:
                    called.append(await self._call(call, deps))
                    await _tell(session, called[-1])
                response = await session.respond(tool_choice="auto")
        raise OmniError(f"the model called tools {self._max_rounds} times and gave no answer; allow more max_rounds")

    async def _call(self, call: ToolCall, deps: Any) -> Called:
        """A tool that is unknown, declined or fails says so to the model."""
        await self.hook.run_before(call)
        try:
            done = Called(call, await self._result(call, deps))
        except ToolError as error:
            done = Called(call, str(error), error=True)
        await self.hook.run_after(call, done.output)
        return done

    async def _result(self, call: ToolCall, deps: Any) -> Output:
        tool = next((tool for tool in self.tools if tool.name == call.name), None)
        if tool is None:
            raise ToolError(f"there is no tool {call.name!r}; there are {', '.join(tool.name for tool in self.tools)}")
        approved = not tool.needs_approval or (self._approve is not None and await _awaited(self._approve(call)))
        if not approved:
            raise ToolError(f"{call.name} was not allowed")
        return await tool.run(call.arguments, ToolContext(call.call_id, call.name, deps))


async def _tell(session: AsyncSession, called: Called) -> None:
    """Pictures and speech that a tool gave are shown beside its output, which is text."""
    if isinstance(called.output, str):
        await session.send(ToolResult(called.call.call_id, called.output))
        return
    await session.send(ToolResult(called.call.call_id, str(called.output)))
    await session.send(called.output)


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result
