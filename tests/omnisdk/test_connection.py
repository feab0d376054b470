import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.server import serve

from omnisdk.errors import ConnectionLost, OmniError, SettingsError
from omnisdk.media import Speech
from omnisdk.session import AsyncSession
from tests.support.fake_runtime import FakeRuntime, Script

pytestmark = pytest.mark.anyio
SPEECH = Speech((np.sin(np.arange(12000) / 9) * 9000).astype(np.int16), sample_rate_hz=16000)


@asynccontextmanager
async def live(script: Script) -> AsyncIterator[AsyncSession]:
    async with FakeRuntime(script) as fake, AsyncSession(fake.url) as session:
        yield session


class TestLosing:
    async def test_vanishing_mid_answer_reaches_the_loop_and_the_awaiting(self) -> None:
        async with live(Script(vanish_at_step=3)) as session:
            await session.send("a cat")
            response = session.respond()
            seen = 0
            with pytest.raises(ConnectionLost, match="open a new session"):  # noqa: PT012 - the loop is what is tested
                async for _partial in response:
                    seen += 1
            assert seen >= 1
            with pytest.raises(ConnectionLost):
                await response
            with pytest.raises(ConnectionLost):
                await session.send("a dog")
            with pytest.raises(ConnectionLost):
                await session.respond()
            with pytest.raises(ConnectionLost):
                async with session.speak() as mic:
                    await mic.send(SPEECH)

    async def test_garbage_from_the_server(self) -> None:
        async with live(Script(garbage_at_step=2)) as session:
            with pytest.raises(ConnectionLost, match="cannot be read"):
                await session.ask("a cat")

    async def test_closing_here_ends_what_runs(self) -> None:
        async with live(Script(steps=100, step_s=0.05)) as session:
            await session.send("a cat")
            response = session.respond()
        with pytest.raises(ConnectionLost, match="closed here"):
            await response

    @pytest.mark.parametrize("ticks", range(6))
    async def test_closing_that_is_cancelled_leaves_no_socket(self, ticks: int) -> None:
        async with live(Script()) as session:
            socket = session._connection._socket
            assert socket is not None
            closing = asyncio.create_task(session.close())
            for _ in range(1 + ticks):
                await asyncio.sleep(0)
            closing.cancel()
            await asyncio.gather(closing, return_exceptions=True)
            await asyncio.wait_for(asyncio.shield(socket.connection_lost_waiter), 1)

    async def test_a_server_that_accepts_and_stops_in_the_middle_of_opening(self) -> None:
        async def hang_up(connection: object) -> None:
            await asyncio.sleep(0.05)

        async with serve(hang_up, "127.0.0.1", 0, select_subprotocol=lambda *_: "omni.v1") as server:  # type: ignore[arg-type]
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(ConnectionLost):
                async with AsyncSession(f"ws://127.0.0.1:{port}"):
                    pass

    async def test_a_fault_while_an_event_is_taken_in_leaves_nobody_waiting(self) -> None:
        async with live(Script()) as session:

            def faulty(_event: object) -> None:
                raise KeyError("a bug")

            session.listener = faulty
            with pytest.raises(ConnectionLost, match=r"could not be taken in \(KeyError: 'a bug'\)") as lost:
                await asyncio.wait_for(session.ask("hello"), 20)
            assert isinstance(lost.value.__cause__, KeyError)

    async def test_what_cannot_be_sent_is_told_at_once_and_the_session_lives_on(self) -> None:
        async with live(Script()) as session:
            with pytest.raises(OmniError, match=r"cannot be sent .*Unicode"):
                await asyncio.wait_for(session.send("half of a letter: \ud800"), 20)
            assert len(session.conversation) == 0
            assert (await session.ask("a cat")).status == "completed"


@pytest.mark.parametrize(
    ("given", "said"), [({"wire": "xml"}, "wire='xml' came; allowed are"), ({"reconnect": 5}, "give Reconnect")]
)
def test_wrong_ways_to_connect(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        AsyncSession("ws://127.0.0.1:1", **given)
