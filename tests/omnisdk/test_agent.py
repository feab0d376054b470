"""Agents against the real server, its engine on a script."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum

import numpy as np
import pytest
from pydantic import BaseModel, field_validator

from omnisdk.agent import Agent, AgentResult, Called, Handoff, ModelRequest, Progress
from omnisdk.canvas import Canvas
from omnisdk.client import AsyncClient, Client
from omnisdk.conversation import Conversation, Text, ToolCall, ToolResult
from omnisdk.editing import Box
from omnisdk.errors import OmniError, SettingsError
from omnisdk.hooks import Stopped
from omnisdk.media import Image, Speech
from omnisdk.partials import Partial
from omnisdk.response import Response
from omnisdk.settings import GenerationSettings
from omnisdk.structured import OutputError
from omnisdk.testing import FakeSpeaker
from omnisdk.tools import ToolContext, ToolError, tool
from runtime.engine.given import GivenImage, GivenText
from runtime.engine.request import ImagePart, TextPart
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.anyio


@tool
def stop_timer() -> str:
    """Stop the timer."""
    return "stopped"


@tool
def dim(ctx: ToolContext, lamp: str) -> str:
    """Dim a lamp."""
    if lamp == "broken":
        raise ToolError("that lamp is broken")
    return f"{lamp} for {ctx.deps}"


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, ScriptedEngine]]:
    engine = ScriptedEngine(texts={"text": "it is done", "arguments.lamp": "desk"})
    with serving(engine) as url:
        yield url, engine


@pytest.fixture
def engine(server: tuple[str, ScriptedEngine]) -> ScriptedEngine:
    server[1].submitted.clear()
    return server[1]


@pytest.fixture
async def client(server: tuple[str, ScriptedEngine], engine: ScriptedEngine) -> AsyncClient:
    return AsyncClient(server[0])


async def test_a_tool_is_called_and_its_output_answered(client: AsyncClient, engine: ScriptedEngine) -> None:
    agent = Agent(client, "You run a house.", tools=[stop_timer, dim], output=["text"])
    result = await agent.run("stop the timer please")
    assert result.text == "it is done"
    (called,) = result.tool_calls
    assert (called.call.name, called.call.arguments, called.output, called.error) == (
        "stop_timer",
        "{}",
        "stopped",
        False,
    )
    assert [turn.role for turn in engine.submitted[-1].turns] == ["system", "user", "assistant", "user"]
    assert engine.submitted[-1].turns[-1].parts == (TextPart("stopped"),)
    parts = [item.parts[0] for item in result.conversation.items]
    assert isinstance(parts[1], ToolCall)
    assert parts[2] == ToolResult(parts[1].call_id, "stopped")


async def test_a_result_is_told_in_a_line(client: AsyncClient) -> None:
    told = str(await Agent(client, tools=[stop_timer], output=["text"]).run("stop the timer"))
    assert told == "stop_timer({}) -> stopped; Response(status='completed', text='it is done')"
    assert repr(client.session()) == f"AsyncSession('{client.session().url}', not connected, 0 items)"
    assert repr(Client("ws://x")) == "Client('ws://x')"


async def test_a_conversation_with_calls_can_be_gone_on_with(client: AsyncClient, engine: ScriptedEngine) -> None:
    agent = Agent(client, tools=[stop_timer])
    before = await agent.run("stop the timer")
    after = await agent.run("thank you", conversation=before.conversation)
    assert len(after.conversation) == len(before.conversation) + 2
    assert not after.tool_calls
    said = [part for turn in engine.submitted[-1].turns for part in turn.parts if isinstance(part, TextPart)]
    assert TextPart('{"name": "stop_timer", "arguments": {}}') in said


async def test_a_tool_is_given_what_the_application_gave(client: AsyncClient) -> None:
    result = await Agent(client, tools=[dim]).run("dim the lamp", deps="me")
    assert result.tool_calls[0].output == "desk for me"


async def test_a_tool_that_fails_tells_the_model(client: AsyncClient, engine: ScriptedEngine) -> None:
    engine.texts = {**engine.texts, "arguments.lamp": "broken"}
    result = await Agent(client, tools=[dim]).run("dim the lamp")
    engine.texts = {**engine.texts, "arguments.lamp": "desk"}
    assert (result.tool_calls[0].output, result.tool_calls[0].error) == ("that lamp is broken", True)
    assert result.response.status == "completed"


async def test_hooks_see_every_call(client: AsyncClient) -> None:
    agent, seen = Agent(client, tools=[stop_timer]), []

    @agent.hook.tool.before
    def before(call: ToolCall) -> None:
        seen.append(call.name)

    @agent.hook.tool.after
    async def after(call: ToolCall, called: Called) -> None:
        seen.append(called.output)

    await agent.run("stop the timer")
    assert seen == ["stop_timer", "stopped"]


@pytest.mark.parametrize(
    ("allowed", "output"), [(None, "shred was not allowed"), (False, "shred was not allowed"), (True, "gone")]
)
async def test_approval(client: AsyncClient, allowed: bool | None, output: str) -> None:
    @tool(needs_approval=True)
    def shred() -> str:
        """Shred a paper."""
        return "gone"

    approve = None if allowed is None else (lambda call: allowed)
    result = await Agent(client, tools=[shred], approve=approve).run("shred the paper")
    assert result.tool_calls[0].output == output


async def test_a_picture_from_a_tool_is_shown_to_the_model(client: AsyncClient, engine: ScriptedEngine) -> None:
    @tool
    def photograph() -> Image:
        """Take a photograph."""
        return Image(np.zeros((8, 8, 3), np.uint8))

    await Agent(client, tools=[photograph], output=["text"]).run("take a photograph")
    assert any(isinstance(part, ImagePart) for part in engine.submitted[-1].turns[-1].parts)


async def test_a_model_that_only_calls(client: AsyncClient) -> None:
    agent = Agent(client, tools=[stop_timer], max_rounds=1)
    agent.hook.response.before(lambda request: replace(request, settings={"tool_choice": "required"}))
    with pytest.raises(OmniError, match="called tools 1 times"):
        await agent.run("x")


async def test_an_answer_after_the_last_round_that_is_allowed(client: AsyncClient) -> None:
    result = await Agent(client, tools=[stop_timer], tool_choice="required", max_rounds=1).run("x")
    assert (result.text, len(result.tool_calls)) == ("it is done", 1)


async def test_the_wrong_kind_of_client(client: AsyncClient) -> None:
    with pytest.raises(OmniError, match="give it a Client"):
        Agent(client).run_sync("x")
    with pytest.raises(OmniError, match="use run_sync"):
        await Agent(Client(client.url)).run("x")


async def test_what_fills_an_answer_reaches_the_engine(client: AsyncClient, engine: ScriptedEngine) -> None:
    picture = Image(np.zeros((8, 8, 3), np.uint8), mask=Box(0, 0, 4, 4))
    async with client:
        await (await client.fill(Canvas(Text("a {mask}"), picture, prompt="a cat")))
    text, image = engine.submitted[-1].given
    assert text == GivenText("text", ("a ", ""))
    assert isinstance(image, GivenImage)
    assert image.repainted.sum() == 16


async def test_wrong_settings(client: AsyncClient) -> None:
    with pytest.raises(SettingsError, match="no setting 'tool'; allowed are"):
        Agent(client, tool=[stop_timer])  # type: ignore[call-overload]
    with pytest.raises(SettingsError, match=r"got 'image'; give a list, as in output=.*image"):
        client.session(output="image")
    with pytest.raises(SettingsError, match="tools"):
        client.session(tools=[print])
    with pytest.raises(SettingsError, match="a canvas has no parts"):
        await client.fill(Canvas())


def test_without_an_event_loop(server: tuple[str, ScriptedEngine]) -> None:
    with Client(server[0]) as omni:
        result = Agent(omni, tools=[stop_timer]).run_sync("stop the timer", conversation=Conversation(system="x"))
    assert result.tool_calls[0].output == "stopped"


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Order(BaseModel):
    """What is to be brought."""

    dish: str
    size: Size
    note: str = ""

    @field_validator("dish")
    @classmethod
    def _on_the_menu(cls, dish: str) -> str:
        if dish == "moon":
            raise ValueError("is not on the menu")
        return dish


@pytest.fixture
def menu(engine: ScriptedEngine) -> Iterator[ScriptedEngine]:
    before = engine.texts
    engine.texts = {**before, "arguments.dish": "soup", "arguments.size": '"large"', "arguments.answer": "true"}
    yield engine
    engine.texts = before


class TestOutputOfAType:
    async def test_of_a_session(self, client: AsyncClient, menu: ScriptedEngine) -> None:
        async with client.session() as session:
            assert await session.ask("soup please", output=Order) == Order(dish="soup", size=Size.LARGE)
            response = await session.respond(output=bool)
            assert response.output is True
            assert (await session.respond()).output is None

    async def test_of_a_client(self, client: AsyncClient, menu: ScriptedEngine) -> None:
        assert await client.ask("is it red?", output=bool)
        answer = await client.respond(Conversation().user("soup"), output=Order)
        assert answer.output.dish == "soup"

    async def test_of_an_agent(self, client: AsyncClient, menu: ScriptedEngine) -> None:
        result = await Agent(client, output=Order).run("soup please")
        assert result.output.size is Size.LARGE
        assert len(result.conversation) == 2

    async def test_of_an_agent_with_tools(self, client: AsyncClient, menu: ScriptedEngine) -> None:
        agent = Agent(client, tools=[stop_timer], output=Order)
        called = await agent.run("stop the timer and bring soup")
        assert [call.output for call in called.tool_calls] == ["stopped"]
        assert called.output.dish == "soup"
        assert (await agent.run("soup")).output.dish == "soup"

    async def test_what_the_type_itself_refuses(self, client: AsyncClient, menu: ScriptedEngine) -> None:
        menu.texts = {**menu.texts, "arguments.dish": "moon"}
        with pytest.raises(OutputError, match="no Order: dish: Value error, is not on the menu"):
            await client.ask("the moon", output=Order)

    async def test_without_an_event_loop(self, server: tuple[str, ScriptedEngine], menu: ScriptedEngine) -> None:
        with Client(server[0]) as omni, omni.session() as session:
            assert session.ask("soup", output=Order).dish == "soup"
            assert omni.ask("red?", output=bool) is True

    async def test_what_cannot_be_asked_for(self, client: AsyncClient) -> None:
        with pytest.raises(SettingsError, match="calls no tools"):
            GenerationSettings(output=Order, tools=[stop_timer])
        with pytest.raises(SettingsError, match="belongs to one answer"):
            client.session(output=Order)
        with pytest.raises(SettingsError, match="built-in function print"):
            await client.ask("x", output=print)  # type: ignore[call-overload]


class TestCanvas:
    async def test_of_one_turn_after_the_tools(self, client: AsyncClient, engine: ScriptedEngine) -> None:
        picture = Image(np.zeros((8, 8, 3), np.uint8), mask=Box(0, 0, 4, 4))
        agent = Agent(client, tools=[stop_timer])
        result = await agent.run("stop the timer and draw", canvas=Canvas(Text("a {mask}"), picture))
        assert [called.output for called in result.tool_calls] == ["stopped"]
        assert engine.submitted[-1].given[0] == GivenText("text", ("a ", ""))
        assert result.image is not None
        await agent.run("hello")
        assert not engine.submitted[-1].given  # of that turn alone

    async def test_of_all_answers_of_an_agent(self, client: AsyncClient, engine: ScriptedEngine) -> None:
        seen = []
        agent = Agent(client, canvas=Canvas(Text("a {mask}")))
        agent.hook.response.before(lambda request: seen.append(request.canvas))
        *_, result = [event async for event in agent.stream("what is it?")]
        assert isinstance(result, AgentResult)
        assert engine.submitted[-1].given == (GivenText("text", ("a ", "")),)
        assert seen == [agent.canvas]
        await agent.run("and this?", canvas=Canvas(Text("two {mask}")))
        assert engine.submitted[-1].given == (GivenText("text", ("two ", "")),)

    async def test_what_it_cannot_be_with(self, client: AsyncClient, engine: ScriptedEngine) -> None:
        canvas = Canvas(Text("a {mask}"))
        with pytest.raises(SettingsError, match="leave out output"):
            Agent(client, output=bool, canvas=canvas)  # type: ignore[call-overload]
        with pytest.raises(SettingsError, match="came with a prompt"):
            Agent(client, canvas=Canvas(Text("a {mask}"), prompt="x"))
        with pytest.raises(SettingsError, match="leave out output"):
            await Agent(client, output=bool).run("x", canvas=canvas)
        with pytest.raises(SettingsError, match="cannot talk"):
            Agent(client, canvas=canvas).live(Speech.from_pcm(np.ones(24000, np.int16), 24000), FakeSpeaker())
        assert not engine.submitted

    def test_without_an_event_loop(self, server: tuple[str, ScriptedEngine], engine: ScriptedEngine) -> None:
        with Client(server[0]) as omni:
            Agent(omni).run_sync("x", canvas=Canvas(Text("a {mask}")))
            list(Agent(omni).stream_sync("x", canvas=Canvas(Text("a {mask}"))))
        assert [len(request.given) for request in engine.submitted] == [1, 1]


class TestStream:
    async def test_all_that_happens_in_order(self, client: AsyncClient) -> None:
        @tool
        async def stop_clock():  # type: ignore[no-untyped-def]
            """Stop the clock."""
            yield "finding it"
            yield "stopped"

        agent = Agent(client, tools=[stop_clock])
        events = [event async for event in agent.stream("stop the clock")]
        kinds = [type(event) for event in events if not isinstance(event, Partial)]
        assert kinds == [ToolCall, Progress, Called, AgentResult]
        assert isinstance(events[-2], Partial)
        assert (events[-1].text, events[-1].tool_calls[0].output) == ("it is done", "stopped")  # type: ignore[union-attr]

    async def test_leaving_the_loop_ends_everything(self, client: AsyncClient, engine: ScriptedEngine) -> None:
        engine.hold = True
        before = asyncio.all_tasks()
        events = Agent(client).stream("hello")
        async for _ in events:
            break
        await events.aclose()
        engine.hold = False
        assert asyncio.all_tasks() <= before

    async def test_what_fails_is_raised_once(self, client: AsyncClient, engine: ScriptedEngine) -> None:
        engine.fails = "out of memory"
        with pytest.raises(OmniError, match="out of memory"):
            _ = [event async for event in Agent(client).stream("hello")]
        engine.fails = None

    def test_without_an_event_loop(self, server: tuple[str, ScriptedEngine]) -> None:
        with Client(server[0]) as omni:
            *_, last = Agent(omni, tools=[stop_timer]).stream_sync("stop the timer")
        assert isinstance(last, AgentResult)
        assert last.text == "it is done"


class TestHandoff:
    async def test_another_agent_goes_on_with_the_turn(self, client: AsyncClient, engine: ScriptedEngine) -> None:
        kitchen = Agent(client, "You cook.", tools=[stop_timer], name="kitchen", description="Runs the timer.")
        porter = Agent(client, "You open doors.", handoffs=[kitchen])
        events = [event async for event in porter.stream("stop the timer")]
        (handoff,) = [event for event in events if isinstance(event, Handoff)]
        result = events[-1]
        assert isinstance(result, AgentResult)
        assert handoff.agent is kitchen is result.agent
        assert [called.output for called in result.tool_calls] == ["stopped"]
        assert result.conversation.system == "You cook."
        assert "You cook." in str(engine.submitted[-1].turns[0])
        assert len(result.conversation) == 4  # the handoff leaves no trace

    async def test_agents_that_hand_over_forever(self, client: AsyncClient) -> None:
        one = Agent(client, name="one", description="Counts sheep.", tool_choice="required")
        other = Agent(client, name="other", description="Counts sheep.", handoffs=[one], tool_choice="required")
        one.handoffs = (other,)
        with pytest.raises(OmniError, match="handed over 8 times"):
            await one.run("count sheep")

    def test_two_tools_of_one_name(self) -> None:
        with pytest.raises(OmniError, match="two tools named stop_timer"):
            Agent(AsyncClient("ws://x"), tools=[stop_timer, stop_timer])


class TestHooks:
    async def test_of_turns_and_answers(self, client: AsyncClient, engine: ScriptedEngine) -> None:
        agent = Agent(client)

        @agent.hook.turn.before
        def politely(parts: tuple[object, ...]) -> tuple[object, ...]:
            return (f"please {parts[0]}",)

        @agent.hook.response.before
        def repeatable(request: ModelRequest) -> ModelRequest:
            return ModelRequest(request.conversation, {**request.settings, "seed": 7})

        result = await agent.run("sing")
        assert str(result.conversation.items[0]) == "user: please sing"
        assert engine.submitted[-1].seed == 7

    async def test_a_guardrail_stops(self, client: AsyncClient) -> None:
        agent = Agent(client)

        @agent.hook.response.after
        def proper(_: ModelRequest, response: Response) -> None:
            if "done" in response.text:
                raise Stopped("that must not be said")

        with pytest.raises(Stopped, match="must not be said"):
            await agent.run("hello")

    async def test_a_call_is_changed_and_a_failure_answered(self, client: AsyncClient) -> None:
        agent = Agent(client, tools=[dim])

        @agent.hook.tool.before
        def broken(call: ToolCall) -> ToolCall:
            return ToolCall(call.name, '{"lamp": "broken"}', call.call_id)

        @agent.hook.tool.on_error
        def soothe(call: ToolCall, error: Exception) -> Called:
            return Called(call, f"never mind: {error}")

        result = await agent.run("dim the lamp")
        assert result.tool_calls[0].output == "never mind: that lamp is broken"
