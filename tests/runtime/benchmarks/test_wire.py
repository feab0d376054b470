import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from omnisdk.protocol.events import OmniProgress
from runtime.benchmarks import wire
from runtime.benchmarks.wire import drawn, measure_wire, rendered
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()


@pytest.mark.anyio
async def test_partials_are_those_of_a_picture() -> None:
    steps_ms, outputs = drawn(MODEL)
    partials = await rendered(outputs)
    assert len(partials) >= len(steps_ms) > 0
    assert all(isinstance(partial[-1], OmniProgress) for partial in partials)


@pytest.mark.anyio
async def test_both_forms_are_measured_end_to_end() -> None:
    figures = await measure_wire(MODEL, pictures=1)
    for form in (figures.json, figures.msgpack):
        assert form.total_ms > 0 < form.encode_ms
    assert figures.ratio == figures.msgpack.total_ms / figures.step_ms
    assert figures.msgpack.bytes < figures.json.bytes
    assert figures.json.sound_bytes > figures.msgpack.sound_bytes > 96_000


def test_the_command_writes_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "load_model", lambda folder: MODEL)
    done = CliRunner().invoke(wire.wire_command, ["--pictures", "1", "--json", str(tmp_path / "w.json")])
    assert done.exit_code == 0, done.output
    assert "MessagePack" in done.output
    assert json.loads((tmp_path / "w.json").read_text())["ratio"] > 0
