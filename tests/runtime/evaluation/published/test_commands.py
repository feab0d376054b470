"""The commands from end to end: on the embedded model, and speaking on an engine that follows a script."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result
from PIL import Image

from runtime import cli
from runtime.engine.engine import Engine
from runtime.engine.model import OmniModel, save_model
from runtime.engine.recipe import PUBLISHED_RECIPES
from runtime.engine.request import SpeechPart
from runtime.evaluation.published import conduct, recogniser
from runtime.evaluation.published.commands import COMMANDS
from runtime.training.data.scenes import blank
from runtime.training.world import BACKGROUNDS, random_scene, request_to_draw
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model


def omni_eval(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, ["eval", *map(str, arguments)])


def figures(folder: Path) -> dict[str, Any]:
    report = json.loads((folder / "report.json").read_text())
    return {measure["name"]: measure for measure in report["measures"]} | {"report": report}


def test_recognition_on_the_embedded_model(tmp_path: Path) -> None:
    chapter = tmp_path / "test-clean" / "84" / "121"
    chapter.mkdir(parents=True)
    noise = np.random.default_rng(0).normal(0, 900, 16_000).astype(np.int16)
    for i in range(3):
        soundfile.write(chapter / f"84-121-000{i}.flac", noise[: 9000 + 1000 * i], 16_000)
    (chapter / "84-121.trans.txt").write_text("".join(f"84-121-000{i} A RED CAT\n" for i in range(3)))
    out = tmp_path / "out"
    result = omni_eval("asr", tmp_path / "test-clean", "--limit", 2, "--out", out, "--json", tmp_path / "copy.json")
    assert result.exit_code == 0, result.output
    assert "word error rate" in result.output
    found = figures(out)
    assert found["word error rate"]["num"] == 2
    assert str(found["report"]["model"]).startswith("omni-embedded")
    assert found["report"]["settings"]["normaliser"] == "whisper"
    assert json.loads((tmp_path / "copy.json").read_text()) == found["report"]

    kept = (out / "answers.jsonl").read_text()
    again = omni_eval("asr", tmp_path / "test-clean", "--out", out, "--normaliser", "plain")
    assert "2 of 3 are answered already" in again.output
    assert (out / "answers.jsonl").read_text().startswith(kept)
    assert figures(out)["word error rate"]["num"] == 3


def test_questions_on_the_embedded_model(tmp_path: Path) -> None:
    for subtask in ("existence", "color"):
        folder = tmp_path / "MME" / subtask
        folder.mkdir(parents=True)
        Image.fromarray(blank(BACKGROUNDS["blue"])).save(folder / "1.png")
        (folder / "1.txt").write_text("is there a dog?\tYes\nis there a cat?\tNo\n")
    out = tmp_path / "out"
    result = omni_eval("vqa", tmp_path / "MME", "--out", out)
    assert result.exit_code == 0, result.output
    found = figures(out)
    total = found["perception: total of 2 of 10 subtasks"]
    assert total["num"] == 4
    assert 0 <= total["value"] <= 400
    scored = omni_eval("vqa", out / "results", "--out", tmp_path / "scored")
    assert scored.exit_code == 0, scored.output
    assert figures(tmp_path / "scored")["perception: total of 2 of 10 subtasks"] == total


def prompts(path: Path, num: int) -> Path:
    rng = random.Random(0)
    path.write_text("".join(f"{request_to_draw(random_scene(rng), rng)}\n" for _ in range(num)))
    return path


def test_pictures_of_the_embedded_model(tmp_path: Path) -> None:
    data = prompts(tmp_path / "prompts.txt", 2)
    result = omni_eval("text-to-image", data, "--out", tmp_path / "one", "--steps", 2, "--in-flight", 2)
    assert result.exit_code == 0, result.output
    assert figures(tmp_path / "one")["drawn"]["value"] == 1.0
    assert {path.name for path in (tmp_path / "one" / "pictures").iterdir()} == {"00000.png", "00001.png"}
    omni_eval("text-to-image", data, "--out", tmp_path / "two", "--steps", 2, "--limit", 1)
    one, two = (np.asarray(Image.open(tmp_path / run / "pictures" / "00000.png")) for run in ("one", "two"))
    assert np.abs(one.astype(int) - two).mean() < 2, "the seed is the prompt's own, whoever is drawn beside it"


@pytest.mark.eval
def test_the_probe_knows_what_the_embedded_model_draws(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    data = prompts(tmp_path / "prompts.txt", 3)
    result = omni_eval("text-to-image", data, "--out", tmp_path / "out", "--judge", "probe", "--in-flight", 3)
    assert result.exit_code == 0, result.output
    found = figures(tmp_path / "out")
    assert found["background"]["num"] == 3
    assert found["background"]["value"] > 0.5
    assert found["report"]["settings"]["judge"] == "probe"


class Listener:
    """In place of Whisper."""

    name = "scripted"

    def __init__(self, folder: Path) -> None:
        assert folder.name == "whisper"

    def write_down(self, speech: SpeechPart) -> str:
        assert len(speech.pcm) == speech.sample_rate_hz // 2
        return "A red cat."


@pytest.fixture
def speaking_model(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def started(path: Path, canvas_positions: int) -> Iterator[tuple[OmniModel, Engine]]:
        yield replace(tiny_model(), recipes=PUBLISHED_RECIPES), ScriptedEngine()

    monkeypatch.setattr(conduct, "started", started)
    monkeypatch.setattr(recogniser, "FasterWhisper", Listener)


@pytest.mark.usefixtures("speaking_model")
def test_speech_is_made_and_judged_later(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a red cat\na red dog\n")
    out = tmp_path / "out"
    result = omni_eval("tts", tmp_path / "a.txt", "--out", out)
    assert result.exit_code == 0, result.output
    found = figures(out)
    assert found["speech"]["value"] == pytest.approx(1.0)
    assert found["nothing said"]["value"] == 0.0
    assert "word error rate" not in found
    judged = omni_eval("tts", tmp_path / "a.txt", "--out", out, "--recogniser", tmp_path / "whisper")
    assert judged.exit_code == 0, judged.output
    assert "2 of 2 are answered already" in judged.output
    found = figures(out)
    assert found["word error rate"]["value"] == pytest.approx(1 / 6)
    assert found["report"]["settings"]["recogniser"] == "scripted"


@pytest.mark.usefixtures("speaking_model")
def test_the_published_model_answers_mme_in_eight_positions(tmp_path: Path) -> None:
    folder = tmp_path / "MME" / "OCR"
    folder.mkdir(parents=True)
    Image.fromarray(blank((9, 9, 9))).save(folder / "1.png")
    (folder / "1.txt").write_text("A dog?\tYes\nA cat?\tNo\n")
    for name, options, numbers in (("paper", (), (8, 8)), ("own", ("--length", 4, "--steps", 2), (4, 2))):
        result = omni_eval("vqa", tmp_path / "MME", "--out", tmp_path / name, *options)
        assert result.exit_code == 0, result.output
        (slot,) = figures(tmp_path / name)["report"]["settings"]["recipe"]["slots"]
        assert (slot["length"], slot["steps"]) == numbers


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("asr",), "no file *.trans.txt"),
        (("tts",), "no file *.normalized.txt"),
        (("vqa",), "no questions in any"),
        (("text-to-image",), "is no file"),
    ],
)
def test_a_folder_of_something_else_is_told_with_what_is_expected(
    arguments: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    result = omni_eval(*arguments, tmp_path)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert why in result.output
    assert "expected is" in result.output


def test_judges_and_models_that_are_missing_are_told_before_anything_is_drawn(tmp_path: Path) -> None:
    data = prompts(tmp_path / "prompts.txt", 1)
    out = tmp_path / "out"
    assert "--clip" in omni_eval("text-to-image", data, "--out", out, "--judge", "clip").output
    assert "no model" in omni_eval("text-to-image", data, "--out", out, "--model", tmp_path).output
    save_model(tiny_model(), tmp_path / "mute", SPEECH_ENCODER)
    arguments = ("--out", out, "--model", tmp_path / "mute")
    assert "no recipe tts or text_to_speech" in omni_eval("tts", data, *arguments).output
    assert not out.exists()


def test_they_need_data_so_all_leaves_them_out() -> None:
    assert all(cli.needs_arguments(command) for command in COMMANDS)
    listed = cli.evaluate._loaded()
    assert {"asr", "tts", "vqa", "text-to-image"} < set(listed)
    assert not cli.needs_arguments(listed["quality"])
