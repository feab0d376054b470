import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from runtime.benchmarks import first_sound
from runtime.benchmarks.first_sound import measure_first_sound, speaking
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()


def test_something_is_heard_before_all_is_said() -> None:
    figures = measure_first_sound(speaking(MODEL), answers=1)
    assert 0 < figures.first_ms < figures.last_ms
    assert figures.ratio == figures.first_ms / figures.last_ms
    assert figures.steps == 51
    assert figures.sound_s > 5


def test_the_command_writes_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_sound, "load_model", lambda folder: MODEL)
    done = CliRunner().invoke(first_sound.first_sound, ["--answers", "1", "--json", str(tmp_path / "f.json")])
    assert done.exit_code == 0, done.output
    assert 0 < json.loads((tmp_path / "f.json").read_text())["ratio"] < 1
