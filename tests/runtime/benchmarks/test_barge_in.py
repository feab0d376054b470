import json
from pathlib import Path

import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from runtime.benchmarks.barge_in import Interrupter
from runtime.benchmarks.session import SHIPPED_REQUEST, read_request
from runtime.cli import bench
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine


def test_an_answer_that_is_spoken_into_is_timed() -> None:
    engine = ScriptedEngine(num_steps=400, step_s=0.02)
    with serving(engine) as url:
        address = f"{url}/v1/realtime"
        with connect(address, subprotocols=[Subprotocol("omni.v1")], max_size=None) as socket:
            interrupter = Interrupter(socket, read_request(SHIPPED_REQUEST))
            interrupter.interrupt()
    (wait_ms,) = interrupter.waits_ms
    assert 0 <= wait_ms < 5_000
    assert len(interrupter.steps_ms) > 3
    assert engine.cancelled == [engine.submitted[0].request_id]


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    bench.main(["barge-in", "--interruptions", "3", "--json", str(file)], standalone_mode=False)
    figures = json.loads(file.read_text())
    assert figures["interruptions"] == 3
    assert figures["ratio"] < 10
