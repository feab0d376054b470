from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from omnisdk.errors import ConnectionLost, ServerError
from omnisdk.session import AsyncSession
from tests.support.fake_runtime import FakeRuntime, Script

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def live(script: Script) -> AsyncIterator[AsyncSession]:
    async with FakeRuntime(script) as fake, AsyncSession(fake.url) as session:
        yield session


async def test_two_answers_at_once_are_refused() -> None:
    async with live(Script(steps=50, step_s=0.01)) as session:
        await session.send("a cat")
        first, second = session.respond(), session.respond()
        with pytest.raises(ServerError, match="an answer is being made"):
            await second
        assert (await first).status == "completed"


async def test_cancelling_and_asking_anew() -> None:
    async with live(Script(steps=50, step_s=0.01)) as session:
        await session.send("a cat")
        first = session.respond()
        first.cancel()
        assert (await session.ask("a dog", steps=3)).status == "completed"
        assert first.status == "cancelled"


async def test_none_begins_on_a_closed_session() -> None:
    async with live(Script()) as session:
        first = await session.ask("a cat")
    for again in (session.respond(), first.fork(at_step=1), first.replay()):
        with pytest.raises(ConnectionLost, match="closed here"):
            await again
