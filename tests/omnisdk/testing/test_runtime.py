"""Assistants of users, tested as they would."""

import numpy as np
import pytest

from omnisdk.agent import Agent, AgentResult
from omnisdk.client import AsyncClient, Client
from omnisdk.conversation import ToolResult
from omnisdk.errors import ConnectionLost, OmniError, ResponseFailed, ServerError
from omnisdk.media import Image, Speech
from omnisdk.protocol import events
from omnisdk.testing import ScriptedRuntime, ScriptError
from omnisdk.testing.answering import Answering
from omnisdk.tools import tool

TONE = Speech(np.zeros(24_000, np.int16), sample_rate_hz=24_000)


@tool
def set_light(room: str, on: bool) -> str:
    """Turn a light on or off."""
    return f"{room} is {'on' if on else 'off'}"


def test_a_tool_is_called(scripted: ScriptedRuntime) -> None:
    scripted.expect("lights off").call("set_light", room="kitchen", on=False)
    scripted.expect_tool_result("kitchen is off").say("Done.")
    with Client(scripted.url) as omni:
        result = Agent(omni, tools=[set_light]).run_sync("lights off please")
    assert result.text == "Done."
    assert len(result.conversation) == 4


@pytest.mark.anyio
async def test_partials_pictures_and_speech(scripted: ScriptedRuntime) -> None:
    scripted.hear("a red ball").say("here it is", image=Image(np.zeros((8, 6, 3), np.uint8)))
    scripted.say("hello", speech=TONE).expect("hum").say("mm")
    async with AsyncClient(scripted.url).session() as session:
        await session.send(TONE)
        response = session.respond()
        partials = [partial async for partial in response]
        assert partials[-1].text == "here it is"
        assert response.transcript == "a red ball"
        assert response.image is not None
        assert response.image.size == (6, 8)
        spoken = await session.ask("speak")
        assert spoken.speech is not None
        assert spoken.speech.transcript == "hello"
        hummed = await session.ask("hum", output=["speech"])
        assert hummed.speech is not None
        assert hummed.speech.duration_s == pytest.approx(0.12)


@pytest.mark.anyio
async def test_a_stream_of_an_agent_and_an_answer_of_a_type(scripted: ScriptedRuntime) -> None:
    scripted.say("yes").call("bool", answer=True)
    client = AsyncClient(scripted.url)
    *_, last = [event async for event in Agent(client).stream("hello")]
    assert isinstance(last, AgentResult)
    assert await client.ask("is it?", output=bool) is True


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("lights on", r"answer 1: expected the user to say 'lights off', came \['lights on'\]"),
        ("lights off", "answer 2: expected a tool to give 'broken', came tool results .'kitchen is off'"),
    ],
)
def test_what_goes_otherwise_is_told(words: str, told: str) -> None:
    with ScriptedRuntime() as scripted, Client(scripted.url) as omni:
        scripted.expect("lights off").call("set_light", room="kitchen", on=False).expect_tool_result("broken").say("x")
        with pytest.raises(ResponseFailed, match=told):
            Agent(omni, tools=[set_light]).run_sync(words)
    with pytest.raises(ScriptError, match=told):
        scripted.verify()


def test_a_script_at_its_end_and_one_that_was_not_used() -> None:
    with ScriptedRuntime() as scripted, Client(scripted.url) as omni:
        with pytest.raises(ResponseFailed, match=r"at its end, came \['hello'\]"):
            omni.ask("hello")
        scripted.hear("x").say("y")
        with pytest.raises(ResponseFailed, match=r"expected the user to speak \('x'\)"):
            omni.ask("written")
    unused = ScriptedRuntime().say("x")
    with pytest.raises(ScriptError, match="1 of the script were not used"):
        unused.verify()


def test_failures_can_be_written(scripted: ScriptedRuntime) -> None:
    scripted.fail("out of memory").vanish()
    with Client(scripted.url) as omni:
        with pytest.raises(ResponseFailed, match="out of memory"):
            omni.ask("hello")
        with pytest.raises(ConnectionLost):
            omni.ask("are you there?")


@pytest.mark.anyio
async def test_a_long_answer_can_be_cancelled(scripted: ScriptedRuntime) -> None:
    scripted.say("one two three four", lasts_s=60).say("ok")
    async with AsyncClient(scripted.url).session() as session:
        await session.send("count")
        response = session.respond()
        response.cancel()
        await response
        assert (response.status, response.reason, response.text) == ("cancelled", "client_cancelled", "")
        assert (await session.ask("go on")).text == "ok"


@pytest.mark.anyio
async def test_events_are_told_as_they_are(scripted: ScriptedRuntime) -> None:
    event = events.OmniSessionCapabilities(
        version="1",
        modalities_in=["text"],
        modalities_out=["text"],
        recipes=[],
        limits=events.CapabilityLimits(max_image_bytes=1, max_image_pixels=1, max_frame_bytes=1, max_steps=1),
    )
    scripted.emit(event).say("ok")
    async with AsyncClient(scripted.url).session() as session:
        await session.ask("hello")
        assert session.capabilities is not None
        assert session.capabilities.version == "1"


@pytest.mark.anyio
async def test_the_rules_are_the_server_s_own(scripted: ScriptedRuntime) -> None:
    scripted.say("ok")
    async with AsyncClient(scripted.url).session() as session:
        with pytest.raises(ServerError, match="no function was called yet"):
            await session.send(ToolResult("call_x", "done"))
        with pytest.raises(ServerError, match=r"takes no omni.response.tune.*not_scripted"):
            await session._connection.receipt(
                events.OmniResponseTune(response_id="x", steps_left=1), "omni.response.tuned"
            )
        assert (await session.ask("go on")).text == "ok"


@pytest.mark.anyio
async def test_a_stock_client_is_served(scripted: ScriptedRuntime) -> None:
    openai = pytest.importorskip("openai")
    scripted.expect("hello").say("hi there")
    base_url = scripted.url.replace("ws", "http", 1)
    client = openai.AsyncOpenAI(base_url=base_url, websocket_base_url=scripted.url, api_key="none")
    async with client.realtime.connect(model="scripted") as connection:
        said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}
        await connection.conversation.item.create(item=said)
        await connection.response.create()
        words = ""
        async for event in connection:
            words += event.delta if event.type == "response.output_text.delta" else ""
            if event.type == "response.done":
                break
    assert words == "hi there"
    await client.close()


def test_its_own_failure_ends_the_answer_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Answering, "tell", None)
    with ScriptedRuntime() as scripted, Client(scripted.url) as omni:
        scripted.say("ok")
        with pytest.raises(ConnectionLost):
            omni.ask("hello")
    with pytest.raises(ScriptError, match="the scripted runtime failed"):
        scripted.verify()


def test_before_it_runs() -> None:
    with pytest.raises(OmniError, match="not running"):
        _ = ScriptedRuntime().url
