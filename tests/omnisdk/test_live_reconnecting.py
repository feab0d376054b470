"""Voice sessions over a network that fails, on the real server: each break meets the turn at another place."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnisdk.agent import Agent
from omnisdk.agent_events import AgentResult, Called, TurnFailed, UserBegan, UserSpoke
from omnisdk.audio_file import Pcm
from omnisdk.client import AsyncClient
from omnisdk.conversation import Conversation, ToolCall, ToolResult
from omnisdk.errors import ConnectionLost
from omnisdk.live import Live
from omnisdk.media import Speech
from omnisdk.reconnecting import Reconnect
from omnisdk.testing import FakeSpeaker
from omnisdk.tools import tool
from runtime.server.settings import ServerSettings
from tests.support.cutting_proxy import CuttingProxy, cutting
from tests.support.fake_devices import QUIET, RATE_HZ
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.anyio
SOON = Reconnect(attempts=5, first_pause_s=0.02, longest_pause_s=0.2)
PATIENT = Reconnect(attempts=100, first_pause_s=0.05, longest_pause_s=0.1)
REQUEST = Speech(Path(__file__).parents[2] / "clients" / "terminal" / "request.wav").resampled(RATE_HZ)
CHUNK_SAMPLES = RATE_HZ // 10
ANSWER_S = 3.0
Act = Pcm | Callable[[], bool] | Callable[[], None]


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(texts={"transcript": "stop the timer", "text": "here it is now"}, speech_s=ANSWER_S)


@pytest.fixture(params=[True, False], ids=["resumed", "anew"])
def kept(request: pytest.FixtureRequest) -> bool:
    """Whether the server keeps a lost session, or for no time at all, almost."""
    return bool(request.param)


@pytest.fixture
def proxy(kept: bool, engine: ScriptedEngine) -> Iterator[CuttingProxy]:
    settings = ServerSettings(resume_window_s=60.0 if kept else 0.001)
    with serving(engine, SPEAKING_MODEL, settings) as url, cutting(url) as proxy:
        yield proxy


def broken(proxy: CuttingProxy) -> Callable[[], None]:
    """The network fails now, for long enough that a forgetful server forgets."""

    def breaks() -> None:
        proxy.refuse()
        proxy.cut()
        asyncio.get_running_loop().call_later(0.05, proxy.refuse, False)

    return breaks


class Meanwhile:
    """No sound at all until this holds."""

    def __init__(self, holds: Callable[[], bool]) -> None:
        self.holds = holds


async def room(*acts: Any) -> AsyncIterator[Pcm]:
    """Sound in pieces of 0.1 s, silence until a condition holds, and what happens between the two."""
    for act in acts:
        if isinstance(act, np.ndarray):
            for first in range(0, len(act), CHUNK_SAMPLES):
                yield act[first : first + CHUNK_SAMPLES]
                await asyncio.sleep(0.005)
            continue
        if isinstance(act, Meanwhile):
            while not act.holds():  # noqa: ASYNC110 - what is awaited is seen, not told
                await asyncio.sleep(0.01)
            continue
        while act() is False:
            yield np.zeros(480, np.int16)
            await asyncio.sleep(0.01)


async def lived(live: Live, told: list[Any]) -> Conversation:
    async for event in live:
        told.append(event)  # noqa: PERF401 - others look at it meanwhile
    return live.conversation


def of(kind: type, told: list[Any]) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


def kinds(conversation: Conversation) -> list[str]:
    return [f"{item.role} {type(item.parts[0]).__name__}" for item in conversation.items]


TURN = ["user Speech", "assistant Speech"]


@pytest.mark.parametrize("share", [0.6, 0.9], ids=["early", "late"])
async def test_while_the_user_speaks(proxy: CuttingProxy, share: float) -> None:
    at = int(len(REQUEST.pcm) * share)
    told: list[Any] = []
    live = Agent(AsyncClient(proxy.url, reconnect=SOON)).live(
        room(
            REQUEST.pcm[:at],
            Meanwhile(lambda: bool(of(UserBegan, told))),
            broken(proxy),
            REQUEST.pcm[at:],
            QUIET,
            lambda: bool(of(AgentResult, told)),
            REQUEST.pcm,
            QUIET,
        ),
        FakeSpeaker(),
    )
    conversation = await asyncio.wait_for(lived(live, told), 30)
    assert proxy.num_connections == 2
    assert kinds(conversation) == TURN * 2
    first, second = (spoke.speech for spoke in of(UserSpoke, told))
    assert first.duration_s == pytest.approx(second.duration_s, abs=0.3)
    assert first.duration_s == pytest.approx(REQUEST.duration_s, abs=1.0)
    loudest = [float(np.abs(spoken.pcm.astype(np.int32)).max()) for spoken in (first, second)]
    assert loudest[0] == pytest.approx(loudest[1], rel=0.1)


async def test_as_the_microphone_ends(proxy: CuttingProxy) -> None:
    told: list[Any] = []
    live = Agent(AsyncClient(proxy.url, reconnect=SOON)).live(
        room(REQUEST.pcm, Meanwhile(lambda: bool(of(UserBegan, told))), broken(proxy)), FakeSpeaker()
    )
    conversation = await asyncio.wait_for(lived(live, told), 30)
    assert kinds(conversation) == TURN
    assert len(of(AgentResult, told)) == 1


async def test_while_an_answer_comes(kept: bool, engine: ScriptedEngine, proxy: CuttingProxy) -> None:
    engine.speech_s = 20.0  # 960,000 bytes
    speaker, told = FakeSpeaker(), list[Any]()
    proxy.cut_after(400_000)
    live = Agent(AsyncClient(proxy.url, reconnect=SOON)).live(
        room(REQUEST.pcm, QUIET, lambda: bool(of(AgentResult, told)), REQUEST.pcm, QUIET), speaker
    )
    conversation = await asyncio.wait_for(lived(live, told), 30)
    assert kinds(conversation) == TURN * 2
    assert proxy.num_connections == 2
    assert len(engine.submitted) == (2 if kept else 3)
    said_twice_s = speaker.given_s - 40
    assert said_twice_s == pytest.approx(0, abs=0.05) if kept else 0 < said_twice_s < 9
    assert [len(result.response.speech.pcm) for result in of(AgentResult, told)] == [20 * RATE_HZ] * 2


def answered_aloud(speaker: FakeSpeaker, told: list[Any]) -> Callable[[], bool]:
    return lambda: speaker.given_s >= ANSWER_S - 0.05 and bool(of(AgentResult, told))


def first_answer(conversation: Conversation) -> Speech:
    answer = conversation.items[1].parts[0]
    assert isinstance(answer, Speech)
    return answer


async def test_speaking_into_an_answer_from_before_the_break(proxy: CuttingProxy) -> None:
    speaker, told = FakeSpeaker(hears_s=1.0), list[Any]()

    def hears_on() -> None:
        speaker.hears_s = math.inf

    live = Agent(AsyncClient(proxy.url, reconnect=SOON)).live(
        room(
            REQUEST.pcm,
            QUIET,
            answered_aloud(speaker, told),
            broken(proxy),
            lambda: proxy.num_connections == 2,
            REQUEST.pcm,
            QUIET,
            lambda: len(of(UserSpoke, told)) == 2,
            hears_on,
            lambda: len(of(AgentResult, told)) == 2,
        ),
        speaker,
    )
    conversation = await asyncio.wait_for(lived(live, told), 30)
    assert [began.heard_s for began in of(UserBegan, told)] == [None, pytest.approx(1.0)]
    assert kinds(conversation) == TURN * 2
    cut = first_answer(conversation)
    assert (cut.duration_s, cut.transcript) == (pytest.approx(1.0), "here")


def gone(proxy: CuttingProxy) -> Callable[[], None]:
    """The network fails, until it is let in again."""

    def goes() -> None:
        proxy.refuse()
        proxy.cut()

    return goes


async def test_speaking_into_an_answer_while_there_is_no_connection(proxy: CuttingProxy) -> None:
    speaker, told = FakeSpeaker(hears_s=1.0), list[Any]()
    stops: list[int] = []

    def comes_back() -> None:
        assert speaker.stops == stops[0] + 1  # silent before anybody else has heard the user
        speaker.hears_s = math.inf
        proxy.refuse(False)

    live = Agent(AsyncClient(proxy.url, reconnect=PATIENT)).live(
        room(
            REQUEST.pcm,
            QUIET,
            answered_aloud(speaker, told),
            gone(proxy),
            QUIET,
            lambda: stops.append(speaker.stops),
            REQUEST.pcm,
            QUIET,
            comes_back,
            lambda: len(of(AgentResult, told)) == 2,
        ),
        speaker,
    )
    conversation = await asyncio.wait_for(lived(live, told), 30)
    assert [began.heard_s for began in of(UserBegan, told)] == [None, pytest.approx(1.0)]
    assert kinds(conversation) == TURN * 2
    cut = first_answer(conversation)
    assert (cut.duration_s, cut.transcript) == (pytest.approx(1.0), "here")


async def test_a_noise_while_there_is_no_connection(proxy: CuttingProxy) -> None:
    """It cuts the answer, as nobody can tell better; then the session goes on."""
    speaker, told = FakeSpeaker(hears_s=1.0), list[Any]()
    noise = (3000 * np.random.default_rng(0).standard_normal(RATE_HZ // 4)).astype(np.int16)

    def comes_back() -> None:
        speaker.hears_s = math.inf
        proxy.refuse(False)

    live = Agent(AsyncClient(proxy.url, reconnect=PATIENT)).live(
        room(
            REQUEST.pcm,
            QUIET,
            answered_aloud(speaker, told),
            gone(proxy),
            QUIET,
            noise,
            QUIET,
            comes_back,
            lambda: len(of(UserBegan, told)) == 2,
        ),
        speaker,
    )
    conversation = await asyncio.wait_for(lived(live, told), 30)
    assert kinds(conversation) == TURN
    assert first_answer(conversation).duration_s == pytest.approx(1.0)


async def test_while_an_answer_is_made(engine: ScriptedEngine, proxy: CuttingProxy) -> None:
    engine.hold = True
    speaker, told = FakeSpeaker(), list[Any]()

    def go_on() -> None:
        engine.hold = False

    live = Agent(AsyncClient(proxy.url, reconnect=SOON)).live(
        room(
            REQUEST.pcm,
            QUIET,
            lambda: any(hasattr(event, "step") for event in told),
            broken(proxy),
            lambda: proxy.num_connections == 2,
            go_on,
            lambda: bool(of(AgentResult, told)),
        ),
        speaker,
    )
    conversation = await asyncio.wait_for(lived(live, told), 30)
    assert kinds(conversation) == TURN
    assert speaker.given_s == pytest.approx(ANSWER_S, abs=0.05)
    assert not of(TurnFailed, told)


async def test_while_a_tool_runs(proxy: CuttingProxy) -> None:
    running, enough, calls = asyncio.Event(), asyncio.Event(), list[str]()

    @tool
    async def stop_timer() -> str:
        """Stop the timer."""
        calls.append("called")
        running.set()
        await enough.wait()
        return "stopped"

    told: list[Any] = []
    live = Agent(AsyncClient(proxy.url, reconnect=SOON), tools=[stop_timer]).live(
        room(
            REQUEST.pcm,
            QUIET,
            running.is_set,
            broken(proxy),
            enough.set,
            lambda: bool(of(AgentResult, told)),
        ),
        FakeSpeaker(),
    )
    conversation = await asyncio.wait_for(lived(live, told), 30)
    assert calls == ["called"]
    assert [called.output for called in of(Called, told)] == ["stopped"]
    assert [type(item.parts[0]) for item in conversation.items] == [Speech, ToolCall, ToolResult, Speech]
    (call,), (result,) = conversation.items[1].parts, conversation.items[2].parts
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert call.call_id == result.call_id


@pytest.mark.parametrize("kept", [True], indirect=True)
async def test_no_other_connection_can_be_had(proxy: CuttingProxy) -> None:
    def ends() -> None:
        proxy.refuse()
        proxy.cut()

    speaker, told = FakeSpeaker(), list[Any]()
    live = Agent(AsyncClient(proxy.url, reconnect=SOON)).live(
        room(REQUEST.pcm, Meanwhile(lambda: bool(of(UserBegan, told))), ends, lambda: False), speaker
    )
    with pytest.raises(ConnectionLost, match="no other could be had in 5 tries"):
        await asyncio.wait_for(lived(live, told), 30)
    assert speaker.closed


@pytest.mark.parametrize("kept", [True], indirect=True)
async def test_sound_waits_within_a_bound(proxy: CuttingProxy) -> None:
    heard_s, told = 0.0, list[Any]()

    async def hour() -> AsyncIterator[Pcm]:
        nonlocal heard_s
        yield REQUEST.pcm
        while not of(UserBegan, told):  # noqa: ASYNC110 - events are looked at, nobody tells
            await asyncio.sleep(0.01)
        proxy.refuse()
        proxy.cut()
        for _ in range(36_000):
            heard_s += CHUNK_SAMPLES / RATE_HZ
            yield np.zeros(CHUNK_SAMPLES, np.int16)

    with pytest.raises(ConnectionLost):
        await asyncio.wait_for(
            lived(Agent(AsyncClient(proxy.url, reconnect=SOON)).live(hour(), FakeSpeaker()), told), 30
        )
    assert heard_s < 15
