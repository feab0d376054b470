import asyncio
import contextvars
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from omnisdk.threads import in_thread, steps_in_thread

pytestmark = pytest.mark.anyio
HANGING = """
import asyncio, threading
from omnisdk.tools import ToolContext, ToolError, tool

@tool(timeout=0.05)
def hang() -> None:
    threading.Event().wait()

try:
    asyncio.run(hang.run("{}", ToolContext("call", "hang")))
except ToolError as error:
    print(error)
"""


async def test_its_result_its_error_and_its_context() -> None:
    who = contextvars.ContextVar("who", default="nobody")
    who.set("me")
    assert await in_thread(lambda: (who.get(), threading.current_thread().daemon)) == ("me", True)
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await in_thread(lambda: next(iter(())))


async def test_one_that_returns_after_it_was_cancelled_is_not_heard_of() -> None:
    go, gone = threading.Event(), threading.Event()

    def late() -> None:
        go.wait(20)
        gone.set()

    waiting = asyncio.create_task(in_thread(late))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    await in_thread(lambda: gone.wait(20))


def test_a_program_ends_while_a_tool_hangs() -> None:
    ran = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "hang took longer than 0.05 s and was stopped"


async def test_the_steps_of_a_generator() -> None:
    def steps() -> Iterator[int]:
        yield from (1, 2, 3)

    assert [step async for step in steps_in_thread(steps())] == [1, 2, 3]
