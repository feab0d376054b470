import asyncio
import threading

import numpy as np
import pytest
from numpy.typing import NDArray

from runtime.engine.changes import Editing, Tuning
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.edits import Edit
from runtime.engine.engine import Reply
from runtime.engine.output import EngineOutput, Finished, Started, StepOutput
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.engine.request import GenerationRequest, TextPart, Turn
from runtime.server.engine_bridge import EngineBridge
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiny_model import tiny_model
from tests.support.unhurried import UnhurriedExecutor

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


async def test_changes_are_told_on_the_event_loop_and_a_fork_has_its_own_outputs() -> None:
    model = tiny_model()
    engine = DenoisingEngine(model, UnhurriedExecutor(model.backbone, num_threads=1))
    bridge, told, ended = EngineBridge(engine), asyncio.Queue[Reply](), asyncio.Queue[Finished]()
    threads = set()

    def take(output: EngineOutput) -> None:
        if isinstance(output, Finished):
            ended.put_nowait(output)

    def tell(reply: Reply) -> None:
        threads.add(threading.get_ident())
        told.put_nowait(reply)

    begun = asyncio.Event()
    bridge.submit(request("first"), lambda output: begun.set() or take(output))
    await asyncio.wait_for(begun.wait(), 5)
    bridge.fork("first", "second", 3, take)
    bridge.change("first", Editing((Edit("mask", "image", (0,)),)), tell)
    bridge.change("second", Tuning(steps_left=2), tell)
    bridge.change("nobody", Tuning(steps_left=2), tell)
    replies = [await asyncio.wait_for(told.get(), 5) for _ in range(3)]
    assert [(reply.request_id, reply.error is None) for reply in replies] == [
        ("first", True),
        ("second", True),
        ("nobody", False),
    ]
    assert threads == {threading.get_ident()}
    finished = [await asyncio.wait_for(ended.get(), 10) for _ in range(2)]
    assert [output.request_id for output in finished] == ["second", "first"]
    await asyncio.to_thread(engine.close)


async def test_a_picture_that_cannot_be_made_fails_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(ratio: float) -> NDArray[np.uint8]:
        raise RuntimeError("no colours left")

    monkeypatch.setattr("tests.support.scripted_engine._picture", broken)
    bridge, ended = EngineBridge(ScriptedEngine()), asyncio.get_running_loop().create_future()
    bridge.submit(request(), lambda output: ended.set_result(output) if isinstance(output, Finished) else None)
    finished = await asyncio.wait_for(ended, 5)
    assert (finished.status, finished.slots) == ("failed", ())
    assert "no colours left" in finished.error


async def test_pictures_are_made_before_the_end_is_told_and_by_no_one_who_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    painters = []

    def noted(ratio: float) -> NDArray[np.uint8]:
        painters.append(threading.current_thread())
        return np.zeros((8, 8, 3), np.uint8)

    monkeypatch.setattr("tests.support.scripted_engine._picture", noted)
    engine = ScriptedEngine()
    bridge, ended = EngineBridge(engine), asyncio.get_running_loop().create_future()
    bridge.submit(request(), lambda output: ended.set_result(len(painters)) if isinstance(output, Finished) else None)
    assert await asyncio.wait_for(ended, 5) == 1
    assert not {threading.main_thread(), *engine._threads} & set(painters)
