"""What one agent does of a turn: it is asked, its tools are called, until it answers or hands the turn over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omnisdk.agent_events import AgentResult, Called, ModelRequest, tell_output
from omnisdk.canvas import Canvas
from omnisdk.conversation import Conversation, PartLike, ToolCall
from omnisdk.errors import OmniError
from omnisdk.response import Response
from omnisdk.session import AsyncSession
from omnisdk.settings import AnswerKeywords

if TYPE_CHECKING:
    from omnisdk.agent import Agent

Parts = tuple[PartLike, ...]
Tell = Callable[[Any], None]


@dataclass(frozen=True)
class Transfer:
    """The turn is another agent's now."""

    agent: Agent[object]
    conversation: Conversation
    called: tuple[Called, ...]


class Turn:
    """canvas: how the last answer is laid out. called: what agents before this one called."""

    def __init__(
        self, agent: Agent[object], deps: object, tell: Tell, canvas: Canvas | None, called: tuple[Called, ...]
    ) -> None:
        self._agent, self._deps, self._tell, self._canvas = agent, deps, tell, canvas
        self._called = list(called)

    async def run(self, opening: Conversation, parts: Parts) -> AgentResult[Any] | Transfer:
        agent = self._agent
        async with agent.open_session(opening) as session:
            if parts:
                await session.send(*parts)
            told = session.conversation
            response, is_last = await self._answer(session, first=True)
            for _ in range(agent.max_rounds):
                if is_last:
                    break
                successor = agent.successor(response)
                if successor is not None:
                    return Transfer(successor, told, tuple(self._called))
                for call in response.tool_calls:
                    await self._call(session, call)
                response, is_last = await self._answer(session, first=False)
            if is_last:
                return self._result(response, session)
        raise OmniError(f"the model called tools {agent.max_rounds} times and gave no answer; allow more max_rounds")

    def _result(self, response: Response, session: AsyncSession) -> AgentResult[Any]:
        output = response.text if self._agent.form is None else response.output
        return AgentResult(output, response, session.conversation, tuple(self._called), self._agent)

    async def _answer(self, session: AsyncSession, first: bool) -> tuple[Response, bool]:
        """An answer, and whether it is the last. Tools are offered before it is given a type or laid out."""
        form, offered = self._agent.form, first and (self._agent.tools or self._agent.handoffs)
        wants_shape = form is not None or self._canvas is not None
        shaped = wants_shape and not offered
        own: AnswerKeywords = {} if first or shaped else {"tool_choice": "auto"}
        if shaped and form is not None:
            own = {"output": form}

        async def answered(request: ModelRequest) -> Response:
            response = session.respond(canvas=request.canvas, **request.settings)
            self._tell(response)
            return await response

        request = ModelRequest(session.conversation, own, self._canvas if shaped else None)
        response = await self._agent.hook.response.run(request, answered)
        return response, shaped or not (response.tool_calls or wants_shape)

    async def _call(self, session: AsyncSession, call: ToolCall) -> None:
        self._tell(call)
        called = await self._agent.made(call, self._deps, self._tell)
        self._called.append(called)
        self._tell(called)
        await tell_output(session, called)
