import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from runtime.benchmarks import load
from runtime.benchmarks.load import POLICIES, Cost, arrivals, measure_load, measured_cost
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()
COST = Cost(0.006, 0.00015)


def test_arrivals_are_the_same_for_the_same_seed_and_come_at_their_rate() -> None:
    first, again, other = arrivals(5.0, 100.0, 1), arrivals(5.0, 100.0, 1), arrivals(5.0, 100.0, 2)
    assert first == again != other
    assert 400 < len(first) < 600
    interrupted = [one for one in first if one.interrupted_after_s is not None]
    assert {one.kind.name for one in interrupted} == {"voice"}


def test_deadlines_meet_more_deadlines_with_fewer_steps_and_again_the_same() -> None:
    figures = measure_load(MODEL, COST, rates=(2.0,), seconds=8.0)
    assert figures.met["deadlines"][0] > figures.met["first come"][0]
    assert figures.steps["deadlines"][0] < figures.steps["fixed steps"][0] == 1.0
    assert asdict(measure_load(MODEL, COST, rates=(2.0,), seconds=8.0)) == asdict(figures)


def test_who_is_alone_meets_his_deadline_however_he_is_served() -> None:
    quick = Cost(1e-5, 1e-7)
    figures = measure_load(MODEL, quick, rates=(0.5,), seconds=10.0)
    assert [figures.met[policy][0] for policy in POLICIES] == [1.0, 1.0, 1.0]
    assert figures.ratio == 1.0


def test_a_longer_canvas_costs_more() -> None:
    cost = measured_cost(MODEL)
    assert cost.fixed_s > 0
    assert cost.position_s > 0


def test_the_command_writes_its_figures_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load_model", lambda folder: MODEL)
    arguments = ["--seconds", "1", "--json", str(tmp_path / "l.json"), "--plot", str(tmp_path / "l.png")]
    done = CliRunner().invoke(load.load, arguments)
    assert done.exit_code == 0, done.output
    assert set(json.loads((tmp_path / "l.json").read_text())["met"]) == set(POLICIES)
    assert (tmp_path / "l.png").read_bytes().startswith(b"\x89PNG")
