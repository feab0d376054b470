import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from runtime.benchmarks import cancel
from runtime.benchmarks.cancel import measure_cancel
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()


def test_waits_are_measured_in_steps() -> None:
    figures = measure_cancel(MODEL, cancels=5, requests=3, sessions=2)
    assert 1 <= figures.cancels <= 5
    assert 0 < figures.p50_ms <= figures.p99_ms
    assert figures.ratio == figures.p99_ms / figures.p99_step_ms
    assert figures.resident_after_mb > 1


def test_the_command_writes_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancel, "load_model", lambda folder: MODEL)
    done = CliRunner().invoke(cancel.cancel, ["--cancels", "3", "--requests", "2", "--json", str(tmp_path / "c.json")])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "c.json").read_text())["ratio"] > 0
