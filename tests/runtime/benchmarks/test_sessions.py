import asyncio
import json
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from runtime.benchmarks.sessions import ORDER, Spread, Talker, Tally, _run, figures_of, in_order
from runtime.cli import bench
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine

PCM = bytes(48_000)


def test_the_order_clients_rely_on() -> None:
    assert in_order(ORDER)
    assert in_order([ORDER[0], "another", *ORDER[1:]])
    assert not in_order(ORDER[:-1])
    assert not in_order([ORDER[1], ORDER[0], *ORDER[2:]])
    assert not in_order([*ORDER, "late"])


@pytest.fixture
def tally() -> Tally:
    tally = Tally(memory=[(0.0, 100.0), (5.0, 110.0), (10.0, 111.0), (15.0, 112.0)])
    for name in ("first_event", "first_word", "answer", "ping"):
        tally.times_s[name] = [0.002] * 100
    tally.times_s["echo"] = [0.001] * 100
    return tally


def test_the_ratio_is_over_the_echo_and_memory_from_when_it_is_warm(tally: Tally) -> None:
    figures = figures_of(tally, 5, 1.0)
    assert figures.ratio == pytest.approx(2.0)
    assert (figures.resident_warm_mb, figures.resident_end_mb) == (110.0, 112.0)
    assert figures.growth_mb == pytest.approx(600 / 5)  # of what is warm
    assert figures.memory == tally.memory
    assert figures.answer == Spread(*[pytest.approx(2.0)] * 3)


@pytest.mark.anyio
async def test_a_turn_is_timed_against_the_real_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.benchmarks.sessions.CHUNK_S", 0.01)
    tally = Tally()
    with serving(ScriptedEngine(), SPEAKING_MODEL) as url:
        async with connect(f"{url}/v1/realtime") as socket, connect(f"{url}/v1/realtime") as other:
            await other.recv()
            talker = Talker(socket, other, PCM, tally)
            await talker._begin()
            talker._appends = talker._appends[:1] * 3
            await asyncio.wait_for(talker._turn(), 20)
    assert (tally.turns, tally.misordered) == (1, 0)
    assert 0 < tally.times_s["first_event"][0] <= tally.times_s["first_word"][0] <= tally.times_s["answer"][0]


@pytest.mark.anyio
async def test_a_server_that_is_gone_is_counted() -> None:
    tally = await _run("ws://127.0.0.1:9", "ws://127.0.0.1:9", 1, PCM, 3, 0.1)
    assert (tally.lost, tally.turns) == (3, 0)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    bench.main(["sessions", "--sessions", "3", "--minutes", "0.1", "--json", str(file)], standalone_mode=False)
    figures = json.loads(file.read_text())
    assert figures["turns"] >= 3
    assert (figures["lost"], figures["misordered"]) == (0, 0)
