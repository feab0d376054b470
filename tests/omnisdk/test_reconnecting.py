"""Sessions over a network that fails, on a real server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from omnisdk.conversation import Text
from omnisdk.errors import ConnectionLost
from omnisdk.media import Speech
from omnisdk.reconnecting import Reconnect, waiting_url
from omnisdk.session import AsyncSession
from runtime.server.settings import ServerSettings
from tests.support.cutting_proxy import CuttingProxy, cutting
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.anyio
SOON = Reconnect(attempts=5, first_pause_s=0.02, longest_pause_s=0.2)
SPEECH = (np.sin(np.arange(24_000) / 9) * 9000).astype(np.int16)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def proxy(engine: ScriptedEngine) -> Iterator[CuttingProxy]:
    with serving(engine) as url, cutting(url) as proxy:
        yield proxy


@pytest.fixture
def forgetful(engine: ScriptedEngine) -> Iterator[CuttingProxy]:
    """In front of a server that keeps a lost session for no time at all, almost."""
    settings = ServerSettings(resume_window_s=0.001)
    with serving(engine, settings=settings) as url, cutting(url) as proxy:
        yield proxy


@asynccontextmanager
async def live(proxy: CuttingProxy, reconnect: Reconnect | None = SOON) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(proxy.url, reconnect=reconnect) as session:
        yield session


def said(session: AsyncSession) -> list[str]:
    """Who said something, and the words that were written."""
    items = session.conversation.items
    return [f"{item.role} {' '.join(str(part) for part in item.parts if isinstance(part, Text))}" for item in items]


ASKED = ["user a red ball", "assistant here it is"]


class TestResuming:
    async def test_an_answer_goes_on(self, engine: ScriptedEngine, proxy: CuttingProxy) -> None:
        engine.hold = True
        async with live(proxy) as session:
            await session.send("a red ball")
            response = session.respond()
            async for _partial in response:
                proxy.cut()
                break
            engine.hold = False
            assert (await asyncio.wait_for(response, 20)).text == "here it is"
            assert response.image is not None
            assert len(engine.submitted) == 1  # it was not asked for twice
            assert said(session) == ASKED
            assert proxy.num_connections == 2

    @pytest.mark.parametrize("break_", ["cut", "half_close"])
    async def test_a_turn_after_each_of_several_breaks(self, break_: str, proxy: CuttingProxy) -> None:
        async with live(proxy) as session:
            for _ in range(3):
                await asyncio.wait_for(session.ask("a red ball"), 20)
                getattr(proxy, break_)()
            await asyncio.wait_for(session.ask("a red ball"), 20)
            assert said(session) == ASKED * 4

    async def test_what_was_sent_into_a_dead_connection_is_sent_again(self, proxy: CuttingProxy) -> None:
        async with live(proxy) as session:
            await session.send("first")
            proxy.hold()  # nothing of what follows arrives
            sending = asyncio.create_task(session.send("second"))
            await asyncio.sleep(0.05)
            proxy.cut()
            proxy.hold(False)
            await asyncio.wait_for(sending, 20)
            assert said(session) == ["user first", "user second"]
            response = await asyncio.wait_for(session.respond(), 20)
            assert response.status == "completed"

    async def test_speech_is_heard_once_and_whole(self, engine: ScriptedEngine, proxy: CuttingProxy) -> None:
        async with live(proxy) as session:
            async with session.speak() as mic:
                for first in range(0, len(SPEECH), 4_000):
                    await mic.send(SPEECH[first : first + 4_000])
                    await asyncio.sleep(0.01)
                    if first == 8_000:
                        proxy.cut()
            await asyncio.wait_for(session.respond(), 20)
            (heard,) = [part for turn in engine.submitted[0].turns for part in turn.parts if hasattr(part, "pcm")]
            (spoken,) = [part for item in session.conversation.items for part in item.parts if isinstance(part, Speech)]
            assert len(spoken.pcm) == len(SPEECH)
            assert np.array_equal(heard.pcm, spoken.pcm)


class TestBeginningAnew:
    async def test_the_conversation_is_told_to_a_new_session(
        self, engine: ScriptedEngine, forgetful: CuttingProxy
    ) -> None:
        async with live(forgetful) as session:
            await session.ask("a red ball")
            forgetful.cut()
            await asyncio.sleep(0.1)
            answer = await asyncio.wait_for(session.ask("a red ball"), 20)
            assert answer.status == "completed"
            assert said(session) == ASKED * 2

    async def test_an_answer_that_was_lost_is_asked_for_again_and_stands_once(
        self, engine: ScriptedEngine, forgetful: CuttingProxy
    ) -> None:
        engine.hold = True
        async with live(forgetful) as session:
            await session.send("a red ball")
            response = session.respond()
            async for _partial in response:
                forgetful.refuse()  # so that it comes too late
                forgetful.cut()
                await asyncio.sleep(0.05)
                forgetful.refuse(False)
                break
            engine.hold = False
            assert (await asyncio.wait_for(response, 20)).text == "here it is"
            assert len(response.images) == 1
            assert said(session) == ASKED
            assert len(engine.submitted) == 2

    async def test_one_that_was_to_stop_has_stopped(self, engine: ScriptedEngine, forgetful: CuttingProxy) -> None:
        async with live(forgetful) as session:
            engine.hold = True
            await session.send("a red ball")
            response = session.respond()
            async for _partial in response:
                break
            forgetful.hold()
            response.cancel()
            forgetful.cut()
            forgetful.hold(False)
            assert (await asyncio.wait_for(response, 20)).status == "cancelled"
            engine.hold = False
            assert (await asyncio.wait_for(session.ask("a blue ball"), 20)).status == "completed"

    async def test_an_edit_of_an_answer_that_is_gone(self, engine: ScriptedEngine, forgetful: CuttingProxy) -> None:
        async with live(forgetful) as session:
            engine.hold = True
            await session.send("a red ball")
            response = session.respond()
            async for _partial in response:
                break
            other = response.fork(seed=1)
            forgetful.cut()
            with pytest.raises(Exception, match=r"fork|canvas"):
                await asyncio.wait_for(other, 20)
            engine.hold = False
            assert (await asyncio.wait_for(response, 20)).status == "completed"


@pytest.mark.parametrize("kept", [True, False], ids=["resumed", "anew"])
async def test_a_replay_after_a_break(engine: ScriptedEngine, kept: bool) -> None:
    settings = ServerSettings(resume_window_s=60.0 if kept else 0.001)
    with serving(engine, settings=settings) as url, cutting(url) as proxy:
        async with live(proxy) as session:
            await session.send("not this")
            await session.delete(session.conversation.items[0].id)
            await session.ask("a red ball")  # with a picture, which another session is shown by the user
            response = await session.ask("another")
            proxy.refuse()
            proxy.cut()
            await asyncio.sleep(0.05)
            proxy.refuse(False)
            again = await asyncio.wait_for(response.replay(), 20)
            assert (again.status, again.text, again.seed) == ("completed", response.text, response.seed)
            assert said(session) == ["user a red ball", "assistant here it is", "user another", "assistant here it is"]
        words = [
            [part.text for turn in asked.turns for part in turn.parts if hasattr(part, "text")]
            for asked in engine.submitted
        ]
        assert words[2] == words[1] == ["a red ball", "here it is", "another"]


class TestGivingUp:
    async def test_when_nobody_answers_any_more(self, engine: ScriptedEngine, proxy: CuttingProxy) -> None:
        engine.hold = True
        async with live(proxy) as session:
            await session.send("a red ball")
            response = session.respond()
            proxy.refuse()
            proxy.cut()
            with pytest.raises(ConnectionLost, match="no other could be had in 5 tries"):
                await asyncio.wait_for(response, 20)
            with pytest.raises(ConnectionLost):
                await session.send("another")

    async def test_not_at_all_if_it_is_not_wanted(self, proxy: CuttingProxy) -> None:
        async with live(proxy, None) as session:
            await session.send("a red ball")
            proxy.cut()
            with pytest.raises(ConnectionLost):
                await asyncio.wait_for(session.ask("a red ball"), 20)
            assert proxy.num_connections == 1

    async def test_closing_ends_the_tries(self, proxy: CuttingProxy) -> None:
        before = len(asyncio.all_tasks())
        async with live(proxy, Reconnect(first_pause_s=60)) as session:
            await session.send("a red ball")
            response = session.respond()
            proxy.cut()
            await asyncio.sleep(0.05)
        with pytest.raises(ConnectionLost, match="closed here"):
            await response
        assert len(asyncio.all_tasks()) == before


async def test_a_slow_loop_over_partials_skips_and_never_lags() -> None:
    engine = ScriptedEngine(num_steps=300)
    with serving(engine) as url:
        async with AsyncSession(url) as session:
            await session.send("a red ball")
            response = session.respond()
            steps = []
            async for partial in response:
                steps.append(partial.step)
                await asyncio.sleep(0.05)
    assert len(steps) < 100
    assert steps == sorted(steps)
    assert steps[-1] == 300


def test_pauses_double_up_to_the_longest() -> None:
    pauses = list(Reconnect(attempts=6, first_pause_s=1.0, longest_pause_s=4.0).pauses_s())
    for pause_s, longest in zip(pauses, (1, 2, 4, 4, 4, 4), strict=True):
        assert longest / 2 <= pause_s <= longest


def test_where_the_server_waits() -> None:
    assert waiting_url("ws://a/v1/realtime?model=b") == "ws://a/v1/realtime?model=b&autostart=0"
