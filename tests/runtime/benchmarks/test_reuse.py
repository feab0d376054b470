import json
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner

from runtime.benchmarks import reuse
from runtime.benchmarks.reuse import NEVER, ReuseFigures, measure_reuse, recommended
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()
FIGURES = ReuseFigures("text_to_image", 2, 9, 1.5, 0.01, 0.995, 10.0)


def test_what_is_always_refreshed_is_exact() -> None:
    figures = measure_reuse(MODEL, "image_to_text", 1, num=1)
    assert (figures.total_variation, figures.agreement, figures.steps, figures.kib) == (0.0, 1.0, 0, 0.0)


def test_what_is_remembered_is_compared_at_every_step_between() -> None:
    figures = measure_reuse(MODEL, "text_to_image", NEVER, num=1)
    assert figures.steps >= 2 * 7  # the prompted and the unprompted canvas
    assert 0 < figures.total_variation < 1
    assert figures.kib > 0


def test_the_longest_interval_that_is_right_and_faster_is_recommended() -> None:
    assert recommended([FIGURES, replace(FIGURES, refresh_every=8)]) == 8
    assert recommended([FIGURES, replace(FIGURES, refresh_every=8, agreement=0.98)]) == 2
    assert recommended([replace(FIGURES, ratio=0.9)]) == 1


def test_the_command_writes_its_figures(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(reuse, "load_model", lambda folder: MODEL)
    done = CliRunner().invoke(reuse.reuse, ["--num", "1", "--json", str(tmp_path / "r.json")])
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["ratio"] > 0
    assert set(told["tasks"]) == {"text_to_image", "image_to_text", "speech_to_text"}
