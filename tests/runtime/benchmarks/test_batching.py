import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from runtime.benchmarks import batching
from runtime.benchmarks.batching import measure_batching, work
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()


def test_the_parts_of_a_run_are_all_of_it() -> None:
    run = work(MODEL, 3)
    assert 0 < run.passes_s + run.advance_s < run.seconds
    assert run.ideal_s > 0
    assert run.tokens >= 100  # a picture at least
    assert run.positions > 100


def test_figures_follow_from_the_runs() -> None:
    figures = measure_batching(MODEL, sessions=2, rounds=1, most=2)
    assert [count for count, _ in figures.by_sessions] == [1, 2]
    assert len(figures.by_positions) == 3
    assert figures.tokens_per_s == pytest.approx(figures.ideal_tokens_per_s * figures.ratio)


def test_the_command_writes_its_figures_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "load_model", lambda folder: MODEL)
    arguments = [
        "--sessions",
        "2",
        "--most",
        "1",
        "--json",
        str(tmp_path / "b.json"),
        "--plot",
        str(tmp_path / "b.png"),
    ]
    done = CliRunner().invoke(batching.batching, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "b.json").read_text())["ratio"] > 0
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
