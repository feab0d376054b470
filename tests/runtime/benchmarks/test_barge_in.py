import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from runtime.benchmarks.barge_in import PICTURE, SPEECH, Asked, Heard, Interrupter, without_lead
from runtime.benchmarks.session import SHIPPED_REQUEST, read_request
from runtime.cli import bench
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine

VOICE = without_lead(read_request(SHIPPED_REQUEST))


@pytest.mark.parametrize("asked", [PICTURE, SPEECH])
def test_an_answer_that_is_spoken_into_is_timed(asked: Asked) -> None:
    engine = ScriptedEngine(num_steps=400, step_s=0.02)
    with serving(engine, SPEAKING_MODEL) as url:
        address = f"{url}/v1/realtime"
        with connect(address, subprotocols=[Subprotocol("omni.v1")], max_size=None) as socket:
            # A script says nothing before it is over.
            interrupter = Interrupter(socket, VOICE, replace(asked, first="omni.progress"), random.Random(0))
            for _ in range(2):
                interrupter.interrupt()
            assert not interrupter._items
    waits = interrupter.waits
    assert (len(waits.ends), waits.missed) == (2, 0)
    assert all(0 <= end < voice < 5_000 for end, voice in zip(waits.ends, waits.voices, strict=True))
    assert waits.figures().median_step_ms == pytest.approx(20, abs=15)
    assert engine.cancelled == [request.request_id for request in engine.submitted]
    assert [len(request.turns) for request in engine.submitted] == [1, 1]  # nothing of what was said before


def test_an_answer_that_is_over_before_does_not_count() -> None:
    engine = ScriptedEngine(num_steps=2)
    with serving(engine) as url:
        address = f"{url}/v1/realtime"
        with connect(address, subprotocols=[Subprotocol("omni.v1")], max_size=None) as socket:
            interrupter = Interrupter(socket, VOICE, PICTURE, random.Random(0))
            interrupter.interrupt()
    assert (interrupter.waits.ends, interrupter.waits.missed) == ([], 1)


def test_the_end_of_the_answer_is_not_the_end_of_the_turn() -> None:
    assert not Heard(started=1.0, ended=2.0).over
    assert Heard(started=1.0, ended=2.0, turn_over=True).over


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    bench.main(["barge-in", "--interruptions", "3", "--json", str(file)], standalone_mode=False)
    figures = json.loads(file.read_text())
    assert figures["picture"]["interruptions"] == figures["speech"]["interruptions"] == 3
    assert figures["ratio"] < 10
