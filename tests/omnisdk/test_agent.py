"""Agents against the real server, its engine on a script."""

from collections.abc import Iterator

import numpy as np
import pytest

from omnisdk.agent import Agent
from omnisdk.client import AsyncClient, Client
from omnisdk.conversation import Conversation, ToolCall, ToolResult
from omnisdk.editing import Box
from omnisdk.errors import OmniError, SettingsError
from omnisdk.fill import Gaps, Repaint
from omnisdk.media import Image
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

    @agent.hook.before_tool
    def before(call: ToolCall) -> None:
        seen.append(call.name)

    @agent.hook.after_tool
    async def after(call: ToolCall, output: object) -> None:
        seen.append(output)

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
    agent = Agent(client, tools=[stop_timer], tool_choice="required", max_rounds=1)
    with pytest.raises(OmniError, match="called tools 1 times"):
        await agent.run("x")


async def test_the_wrong_kind_of_client(client: AsyncClient) -> None:
    with pytest.raises(OmniError, match="give it a Client"):
        Agent(client).run_sync("x")
    with pytest.raises(OmniError, match="use run_sync"):
        await Agent(Client(client.url)).run("x")


async def test_what_fills_an_answer_reaches_the_engine(client: AsyncClient, engine: ScriptedEngine) -> None:
    picture = Image(np.zeros((8, 8, 3), np.uint8))
    await client.ask("a cat", fill=[Gaps("a {mask}"), Repaint(picture, Box(0, 0, 4, 4))])
    text, image = engine.submitted[-1].given
    assert text == GivenText("text", ("a ", ""))
    assert isinstance(image, GivenImage)
    assert image.repainted.sum() == 16


async def test_wrong_settings(client: AsyncClient) -> None:
    with pytest.raises(SettingsError, match="tools"):
        client.session(tools=[print])
    with pytest.raises(SettingsError, match="fill"):
        await client.ask("x", fill=["a {mask}"])


def test_without_an_event_loop(server: tuple[str, ScriptedEngine]) -> None:
    with Client(server[0]) as omni:
        result = Agent(omni, tools=[stop_timer]).run_sync("stop the timer", conversation=Conversation(system="x"))
    assert result.tool_calls[0].output == "stopped"
