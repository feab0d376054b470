"""Whatever goes wrong, no task and no thread is left when a program ends."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omnisdk.agent import Agent
from omnisdk.client import AsyncClient, Client
from omnisdk.conversation import Conversation
from omnisdk.errors import ConnectionLost, OmniError, ResponseFailed
from omnisdk.testing import ScriptedRuntime
from omnisdk.tools import ToolContext, tool

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    before = set(threading.enumerate())
    yield
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if "TestRunner" not in repr(task)]
    new = [thread for thread in threading.enumerate() if thread not in before]
    assert not [thread for thread in new if not thread.name.startswith("asyncio_")]  # pytest's own pool


async def test_a_server_that_vanishes_while_it_is_waited_for(scripted: ScriptedRuntime) -> None:
    scripted.vanish()
    async with AsyncClient(scripted.url).session() as session:
        await session.send("hello")
        response = session.respond()
        with pytest.raises(ConnectionLost):
            async for _ in response:
                pass
        with pytest.raises(ConnectionLost):
            await session.ask("are you there?")


async def test_a_server_that_vanishes_under_an_agent(scripted: ScriptedRuntime) -> None:
    scripted.vanish()
    with pytest.raises(ConnectionLost):
        async for _ in Agent(AsyncClient(scripted.url)).stream("hello"):
            pass


async def test_an_answer_that_fails(scripted: ScriptedRuntime) -> None:
    scripted.fail("out of memory")
    with pytest.raises(ResponseFailed):
        await Agent(AsyncClient(scripted.url)).run("hello")


async def test_a_tool_that_hangs(scripted: ScriptedRuntime) -> None:
    @tool(timeout=0.05)
    async def hang() -> None:
        await asyncio.Event().wait()

    scripted.call("hang").expect_tool_result("hang took longer than 0.05 s and was stopped").say("It hung.")
    assert (await Agent(AsyncClient(scripted.url), tools=[hang]).run("go")).text == "It hung."


async def test_leaving_while_a_tool_hangs(scripted: ScriptedRuntime) -> None:
    begun = asyncio.Event()

    @tool
    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    scripted.call("hang")
    run = asyncio.create_task(Agent(AsyncClient(scripted.url), tools=[hang]).run("go"))
    await begun.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run


async def test_a_tool_that_returns_after_it_was_cancelled(scripted: ScriptedRuntime) -> None:
    @tool(timeout=0.05)
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "too late"
        return ""

    scripted.call("stubborn").expect_tool_result("stubborn took longer than").say("It was late.")
    result = await Agent(AsyncClient(scripted.url), tools=[stubborn]).run("go")
    assert result.text == "It was late."
    with pytest.raises(OmniError, match="took longer"):
        await stubborn.run("{}", ToolContext("call", "stubborn"))


async def test_rubbish_from_a_tool(scripted: ScriptedRuntime) -> None:
    @tool
    def rubbish() -> object:
        return object()

    scripted.call("rubbish").expect_tool_result("rubbish failed").say("Rubbish.")
    assert (await Agent(AsyncClient(scripted.url), tools=[rubbish]).run("go")).text == "Rubbish."


async def test_a_half_written_save_file(scripted: ScriptedRuntime, tmp_path: Path) -> None:
    saved = Conversation().user("hello").save(tmp_path / "chat.omni")
    (file,) = saved.rglob("*.json")
    file.write_text(file.read_text()[:20])
    scripted.say("hi")
    async with AsyncClient(scripted.url).session() as session:
        with pytest.raises(OmniError):
            Conversation.load(saved)
        assert (await session.ask("hello")).text == "hi"


async def test_a_sync_program_that_fails_inside(scripted: ScriptedRuntime) -> None:
    scripted.say("x", lasts_s=60)

    def program() -> None:
        with Client(scripted.url) as omni, omni.session() as session:
            session.send("hello")
            session.respond()
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await asyncio.to_thread(program)
