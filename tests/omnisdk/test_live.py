"""Agents that are spoken with: against a script, and against the real server."""

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnisdk.agent import Agent
from omnisdk.agent_events import AgentResult, Called, Handoff, TurnFailed, TurnStopped, Understood, UserBegan, UserSpoke
from omnisdk.client import AsyncClient, Client
from omnisdk.conversation import Conversation, ToolCall
from omnisdk.errors import ConnectFailed, ConnectionLost, OmniError, ResponseFailed, SettingsError
from omnisdk.hooks import Stopped
from omnisdk.media import Speech
from omnisdk.testing import FakeSpeaker, ScriptedRuntime
from omnisdk.tools import ToolError, tool
from tests.support.fake_devices import QUIET, RATE_HZ, TALK, microphone
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.anyio
REQUEST = Path(__file__).parents[2] / "clients" / "terminal" / "request.wav"
LONG = "one two three four five six seven eight nine ten"  # 48 letters, 2.88 s of hum


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """No task hangs when a test is over."""
    yield
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if "TestRunner" not in repr(task)]


@tool
def set_light(room: str, on: bool) -> str:
    """Turn a light on or off."""
    return f"{room} is {'on' if on else 'off'}"


async def lived(agent: Agent[Any], speaker: FakeSpeaker, *acts: Any, seen: list[Any] | None = None) -> list[Any]:
    told = [] if seen is None else seen
    async for event in agent.live(microphone(*acts), speaker):
        told.append(event)
    return told


def of(kind: type, told: list[Any]) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


async def test_a_turn_is_heard_and_answered_aloud(scripted: ScriptedRuntime) -> None:
    scripted.hear("lights off").say("Done.")
    speaker = FakeSpeaker()
    live = Agent(AsyncClient(scripted.url)).live(microphone(QUIET, TALK, QUIET), speaker)
    told = [event async for event in live]
    assert [type(event) for event in told if not hasattr(event, "step")] == [
        UserBegan,
        UserSpoke,
        Understood,
        AgentResult,
    ]
    assert speaker.given_s == pytest.approx(0.3)
    assert speaker.closed
    asked, answer = live.conversation.items
    assert (asked.parts[0].transcript, answer.parts[0].transcript) == ("lights off", "Done.")
    assert 0.4 < asked.parts[0].duration_s < 1.3
    assert np.abs(asked.parts[0].pcm).max() > 7900


async def test_tools_are_called_on_the_way(scripted: ScriptedRuntime) -> None:
    scripted.hear("lights off").call("set_light", room="hall", on=False).expect_tool_result("hall is off").say("Done.")
    agent = Agent(AsyncClient(scripted.url), tools=[set_light])
    conversation = await agent.live(microphone(TALK, QUIET), FakeSpeaker())
    assert [type(item.parts[0]).__name__ for item in conversation.items] == [
        "Speech",
        "ToolCall",
        "ToolResult",
        "Speech",
    ]


@pytest.mark.parametrize("lasts_s", [0.0, 3.0], ids=["made at once", "still being made"])
async def test_speaking_into_an_answer_silences_it_at_what_was_heard(scripted: ScriptedRuntime, lasts_s: float) -> None:
    scripted.hear("count").say(LONG, lasts_s=lasts_s).hear("stop").say("ok")
    speaker = FakeSpeaker(hears_s=0.6)

    async def acts() -> AsyncIterator[Any]:
        async for chunk in microphone(TALK, QUIET, lambda: speaker.given_s > 0.7, TALK, lambda: speaker.stops > 1):
            yield chunk
        speaker.hears_s = math.inf
        yield QUIET

    live = Agent(AsyncClient(scripted.url)).live(acts(), speaker)
    seen = [event async for event in live]
    assert [event.heard_s for event in of(UserBegan, seen)] == [None, pytest.approx(0.6)]
    cut = live.conversation.items[1].parts[0]
    assert isinstance(cut, Speech)
    assert cut.duration_s == pytest.approx(0.6)
    assert cut.transcript is not None
    assert LONG.startswith(cut.transcript)
    assert len(cut.transcript) < len(LONG) / 2
    assert [item.parts[0].transcript for item in live.conversation.items[2:]] == ["stop", "ok"]
    assert speaker.given_s == pytest.approx(0.6 + 0.12)


async def test_the_turn_is_handed_over(scripted: ScriptedRuntime) -> None:
    scripted.hear("soup please").call("transfer_to_cook").say("Soup is coming.").hear("thanks").say("Welcome.")
    client, speaker = AsyncClient(scripted.url), FakeSpeaker()
    cook = Agent(client, "You cook.", name="cook")
    agent = Agent(client, "You run a house.", handoffs=[cook])
    told = await lived(agent, speaker, TALK, QUIET, lambda: speaker.given_s >= 0.9, TALK, QUIET)
    assert of(Handoff, told) == [Handoff(cook)]
    assert [(result.agent.name, result.text) for result in of(AgentResult, told)] == [
        ("cook", "Soup is coming."),
        ("cook", "Welcome."),
    ]
    assert of(AgentResult, told)[0].conversation.system == "You cook."


async def test_hooks_change_and_stop_what_comes_in(scripted: ScriptedRuntime) -> None:
    scripted.expect("a cat, please").say("meow")
    agent = Agent(AsyncClient(scripted.url))
    turns = []

    @agent.hook.turn.before
    def check(parts: Any) -> Any:
        turns.append(parts)
        if len(turns) == 2:
            raise Stopped("not that")
        return ("a cat, please",)

    speaker = FakeSpeaker()
    live = agent.live(microphone(TALK, QUIET, lambda: speaker.given_s > 0.2, TALK, QUIET), speaker)
    told = [event async for event in live]
    assert of(TurnStopped, told) == [TurnStopped("not that")]
    assert str(live.conversation.items[0]) == "user: a cat, please"
    assert len(live.conversation.items) == 2


async def test_hooks_change_and_stop_what_goes_out(scripted: ScriptedRuntime) -> None:
    scripted.hear("a").say("something rude").hear("b").say("fine")
    agent, speaker = Agent(AsyncClient(scripted.url)), FakeSpeaker()

    @agent.hook.response.after
    def check(_request: Any, response: Any) -> None:
        if "rude" in response.text:
            raise Stopped("manners")

    seen: list[Any] = []
    told = await lived(agent, speaker, TALK, QUIET, lambda: bool(of(TurnStopped, seen)), TALK, QUIET, seen=seen)
    assert of(TurnStopped, told) == [TurnStopped("manners")]
    assert speaker.given_s == pytest.approx(0.24)
    assert [item.role for item in of(AgentResult, told)[0].conversation.items] == ["user", "user", "assistant"]


@pytest.mark.parametrize(
    ("on_interrupt", "reply", "result"),
    [("cancel", "when_idle", "stopped"), ("finish", "when_idle", "tea"), ("finish", "interrupt", "tea")],
)
async def test_a_tool_the_user_speaks_into(
    scripted: ScriptedRuntime, on_interrupt: Any, reply: Any, result: str
) -> None:
    begun, enough = asyncio.Event(), asyncio.Event()

    @tool(on_interrupt=on_interrupt, reply=reply)
    async def brew() -> str:
        """Brew some tea."""
        begun.set()
        await enough.wait()
        return "tea"

    scripted.hear("tea please").call("brew").hear("how long?")
    if on_interrupt == "cancel":
        scripted.expect_tool_result("stopped: the user spoke").say("It was stopped.")
    else:
        scripted.say("A minute.").expect_tool_result("tea").say("Here it is.")
    agent, speaker = Agent(AsyncClient(scripted.url), tools=[brew]), FakeSpeaker()

    def answered() -> bool:
        if speaker.given_s > 0.5:
            enough.set()
        return speaker.given_s > 0.5

    told = await lived(agent, speaker, TALK, QUIET, begun.is_set, TALK, QUIET, answered)
    assert [called.output.split(":")[0] for called in of(Called, told)] == [result]
    assert of(AgentResult, told)[-1].text == ("It was stopped." if on_interrupt == "cancel" else "Here it is.")


async def test_a_silent_tool_is_only_told(scripted: ScriptedRuntime) -> None:
    @tool(reply="silent")
    def note(words: str) -> str:
        """Note something."""
        return "noted"

    scripted.hear("note milk").call("note", words="milk").hear("what?").expect_tool_result("noted").say("Milk.")
    agent, seen, speaker = Agent(AsyncClient(scripted.url), tools=[note]), [], FakeSpeaker()
    await lived(agent, speaker, TALK, QUIET, lambda: bool(of(AgentResult, seen)), TALK, QUIET, seen=seen)
    assert [result.text for result in of(AgentResult, seen)] == ["", "Milk."]


async def test_an_answer_that_fails_is_told_and_the_next_one_taken(scripted: ScriptedRuntime) -> None:
    scripted.hear("a").fail("out of memory").hear("b").say("fine").hear("c").fail("again")
    agent, speaker, seen = Agent(AsyncClient(scripted.url)), FakeSpeaker(), []
    await lived(agent, speaker, TALK, QUIET, lambda: bool(of(TurnFailed, seen)), TALK, QUIET, seen=seen)
    assert "out of memory" in str(of(TurnFailed, seen)[0].error)
    assert of(AgentResult, seen)[0].text == "fine"
    with pytest.raises(ResponseFailed, match="again"):
        await agent.live(microphone(TALK, QUIET), FakeSpeaker())


async def test_a_tool_may_end_it_with_what_it_raises(scripted: ScriptedRuntime) -> None:
    @tool(on_error="raise")
    def burn() -> str:
        """Burn."""
        raise ValueError("fire")

    scripted.hear("burn").call("burn")
    with pytest.raises(ToolError, match="burn failed: fire"):
        await Agent(AsyncClient(scripted.url), tools=[burn]).live(microphone(TALK, QUIET), FakeSpeaker())


async def test_a_server_that_vanishes(scripted: ScriptedRuntime) -> None:
    scripted.hear("a").vanish()
    speaker = FakeSpeaker()
    with pytest.raises(ConnectionLost):
        await Agent(AsyncClient(scripted.url)).live(microphone(TALK, QUIET, lambda: False), speaker)
    assert speaker.closed


async def test_no_server_and_a_microphone_that_never_waits() -> None:
    async def hasty() -> AsyncIterator[Any]:
        while True:
            yield QUIET

    with pytest.raises(ConnectFailed):
        await asyncio.wait_for(Agent(AsyncClient("ws://127.0.0.1:1")).live(hasty(), FakeSpeaker()), 10)


async def test_a_microphone_that_breaks(scripted: ScriptedRuntime) -> None:
    async def broken() -> Any:
        yield QUIET
        raise OmniError("unplugged")

    with pytest.raises(OmniError, match="unplugged"):
        await Agent(AsyncClient(scripted.url)).live(broken(), FakeSpeaker())


async def test_leaving_the_loop_ends_it_all(scripted: ScriptedRuntime) -> None:
    hanging = asyncio.Event()

    @tool
    async def hang() -> str:
        """Hang."""
        hanging.set()
        await asyncio.Event().wait()
        return ""

    scripted.hear("hang").call("hang")
    speaker = FakeSpeaker()
    live = Agent(AsyncClient(scripted.url), tools=[hang]).live(microphone(TALK, QUIET, lambda: False), speaker)
    events = live.events()
    async for event in events:
        if isinstance(event, ToolCall):
            await hanging.wait()
            break
    await events.aclose()
    assert speaker.closed


async def test_for_programs_without_a_loop(scripted: ScriptedRuntime) -> None:
    scripted.hear("hello").say("hi")
    recording = Speech(np.concatenate([TALK, QUIET]), sample_rate_hz=RATE_HZ)

    def program() -> list[Any]:
        with Client(scripted.url) as omni:
            return list(Agent(omni).live_sync(recording, FakeSpeaker()))

    told = await asyncio.to_thread(program)
    assert of(AgentResult, told)[0].text == "hi"


async def test_a_conversation_for_programs_without_a_loop(scripted: ScriptedRuntime) -> None:
    scripted.hear("hello").say("hi").hear("hello").say("hi").hear("hello").fail("tired")
    recording = Speech(np.concatenate([TALK, QUIET]), sample_rate_hz=RATE_HZ)

    def program() -> None:
        with Client(scripted.url) as omni:
            assert len(Agent(omni).live_sync(recording, FakeSpeaker()).wait()) == 2
            live = Agent(omni).live_sync(recording, FakeSpeaker())
            for event in live:
                if isinstance(event, AgentResult):
                    break
            assert len(live.conversation) == 2
            with pytest.raises(ResponseFailed, match="tired"):
                Agent(omni).live_sync(recording, FakeSpeaker()).wait()

    await asyncio.to_thread(program)
    with pytest.raises(OmniError, match="use `await live`"):
        Agent(AsyncClient(scripted.url)).live(recording, FakeSpeaker()).wait()


async def test_an_agent_that_cannot_talk(scripted: ScriptedRuntime) -> None:
    with pytest.raises(SettingsError, match="whose output is a type cannot talk"):
        Agent(AsyncClient(scripted.url), output=bool).live(microphone(), FakeSpeaker())


async def test_with_the_real_server_and_a_recording() -> None:
    engine = ScriptedEngine(texts={"transcript": "draw two apples", "text": "here they are"}, speech_s=0.5)
    with serving(engine, SPEAKING_MODEL) as url:
        speaker = FakeSpeaker()
        live = Agent(AsyncClient(url), "Be brief.").live(Speech(REQUEST), speaker)
        told = [event async for event in live]
    (spoke,) = of(UserSpoke, told)
    assert spoke.speech.duration_s == pytest.approx(Speech(REQUEST).duration_s, abs=1.0)
    assert of(AgentResult, told)[0].text == "here they are"
    assert speaker.given_s == pytest.approx(0.5, abs=0.01)
    assert isinstance(live.conversation, Conversation)
    assert len(live.conversation) == 2


async def test_speaking_into_an_answer_of_the_real_server() -> None:
    engine = ScriptedEngine(texts={"transcript": "draw two apples", "text": "here they are now"}, speech_s=3.0)
    speaker = FakeSpeaker(hears_s=1.0)
    request = Speech(REQUEST)

    async def acts() -> AsyncIterator[Any]:
        yield request
        async for chunk in microphone(QUIET, lambda: speaker.given_s > 1.5):
            yield chunk
        yield request
        async for chunk in microphone(QUIET, lambda: speaker.stops > 1):
            yield chunk
        speaker.hears_s = math.inf

    with serving(engine, SPEAKING_MODEL) as url:
        live = Agent(AsyncClient(url)).live(acts(), speaker)
        told = [event async for event in live]
    assert [event.heard_s for event in of(UserBegan, told)] == [None, pytest.approx(1.0)]
    asked, cut, again, whole = (item.parts[0] for item in live.conversation.items)
    assert isinstance(cut, Speech)
    assert isinstance(whole, Speech)
    assert (cut.duration_s, cut.transcript) == (pytest.approx(1.0), "here")
    assert (whole.duration_s, whole.transcript) == (pytest.approx(3.0, abs=0.01), "here they are now")
    assert isinstance(asked, Speech)
    assert isinstance(again, Speech)
    assert again.duration_s == pytest.approx(asked.duration_s, abs=0.5)


async def test_what_a_hook_makes_of_the_result_is_told(scripted: ScriptedRuntime) -> None:
    scripted.hear("hello").say("hi")
    agent = Agent(AsyncClient(scripted.url))

    @agent.hook.turn.after
    def louder(_parts: Any, result: AgentResult[str]) -> AgentResult[str]:
        return replace(result, output=result.text.upper())

    told = await lived(agent, FakeSpeaker(), TALK, QUIET)
    assert of(AgentResult, told)[0].output == "HI"


async def test_a_model_that_does_not_speak_is_read() -> None:
    with serving(ScriptedEngine(texts={"transcript": "hello", "text": "hi"})) as url:
        speaker = FakeSpeaker()
        told = [event async for event in Agent(AsyncClient(url)).live(Speech(REQUEST), speaker)]
    assert len(of(AgentResult, told)) == 1
    assert of(Understood, told) == [Understood("hello")]
    assert (speaker.given_s, speaker.closed) == (0, True)
