import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest
from websockets.asyncio.server import serve

from omnisdk.errors import ConnectionLost
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

    async def test_a_server_that_accepts_and_stops_in_the_middle_of_opening(self) -> None:
        async def hang_up(connection: object) -> None:
            await asyncio.sleep(0.05)

        async with serve(hang_up, "127.0.0.1", 0, select_subprotocol=lambda *_: "omni.v1") as server:  # type: ignore[arg-type]
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(ConnectionLost):
                async with AsyncSession(f"ws://127.0.0.1:{port}"):
                    pass
