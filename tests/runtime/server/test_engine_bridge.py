import asyncio
import threading

import pytest

from runtime.engine.output import EngineOutput, Finished, Started, StepOutput
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.engine.request import GenerationRequest, TextPart, Turn
from runtime.server.engine_bridge import EngineBridge
from tests.support.scripted_engine import ScriptedEngine

pytestmark = pytest.mark.anyio


def request(name: str = "r") -> GenerationRequest:
    return GenerationRequest(name, (Turn("user", (TextPart("a ball"),)),), EMBEDDED_RECIPES["text_to_image"])


async def test_outputs_are_taken_on_the_event_loop_in_order() -> None:
    bridge, taken, ended = EngineBridge(ScriptedEngine()), [], asyncio.Event()
    threads = set()

    def take(output: EngineOutput) -> None:
        taken.append(type(output))
        threads.add(threading.get_ident())
        if isinstance(output, Finished):
            ended.set()

    bridge.submit(request(), take)
    await asyncio.wait_for(ended.wait(), 5)
    assert taken == [Started, *[StepOutput] * 4, Finished]
    assert threads == {threading.get_ident()}


async def test_close_cancels_what_runs_and_takes_nothing_more() -> None:
    engine, taken = ScriptedEngine(hold=True), []
    bridge = EngineBridge(engine)
    bridge.submit(request(), taken.append)
    await asyncio.sleep(0.05)
    bridge.close()
    await asyncio.to_thread(engine.close)
    await asyncio.sleep(0.01)
    assert engine.cancelled == ["r"]
    assert not any(isinstance(output, Finished) for output in taken)


async def test_a_finished_request_is_not_cancelled_by_close() -> None:
    engine, ended = ScriptedEngine(), asyncio.Event()
    bridge = EngineBridge(engine)
    bridge.submit(request(), lambda output: ended.set() if isinstance(output, Finished) else None)
    await asyncio.wait_for(ended.wait(), 5)
    bridge.close()
    assert engine.cancelled == []


def test_an_engine_that_outlives_the_loop_is_told_to_stop() -> None:
    engine = ScriptedEngine(hold=True)

    async def begin() -> None:
        EngineBridge(engine).submit(request(), lambda _: None)

    asyncio.run(begin())
    engine.finalize("r")
    engine.close()
    assert "r" in engine.cancelled
