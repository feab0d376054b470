"""`omni train all` from nothing, on little of everything: every stage takes what those before it left."""

import importlib
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import click
import pytest

from runtime.cli import TRAINING_STAGES
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import load_model
from runtime.engine.request import GenerationRequest, TextPart, Turn
from runtime.evaluation.answers import answer_all, slot_of
from runtime.executors.in_process import InProcessExecutor
from runtime.training import image_decoder, pictures
from runtime.training.data import speech, voice
from runtime.training.data.fetch import cache_folder
from runtime.training.world import BACKGROUNDS

STEPS = ("--steps", "2")
ARGUMENTS = {
    "image-tokenizer": STEPS,
    "image-decoder": STEPS,
    "speech-encoder": STEPS,
    "heard": ("--most", "4"),
    "backbone-pictures": STEPS,
    "speech-codec": STEPS,
    "harmonic-vocoder": STEPS,
    "backbone-spoken": STEPS,
    "backbone-talking": STEPS,
    "backbone-reading": STEPS,
}
LACKING = [program for program in ("npm", "rsvg-convert", "flite") if shutil.which(program) is None]


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache with nothing in it but downloads, and less to make."""
    pytest.importorskip("hibari", reason="training needs the extra train")
    for name in ("packages", "models"):
        (cache_folder() / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(cache_folder() / name)
    monkeypatch.setenv("OMNI_TRAINING_CACHE", str(tmp_path))
    monkeypatch.setattr(speech, "PARTS", [replace(part, shards=1, shard_size=8) for part in speech.PARTS])
    monkeypatch.setattr(voice, "SHARD_SIZE", 12)
    monkeypatch.setattr(voice, "SHARDS", {"train": 3, "test": 1})
    monkeypatch.setattr(voice, "TEST_SIZE", 12)
    monkeypatch.setattr(voice, "single_words", list)
    monkeypatch.setattr(pictures, "BACKGROUNDS", {name: BACKGROUNDS[name] for name in ("white", "blue")})
    monkeypatch.setattr(pictures, "NUM_PAIRS", dict.fromkeys(pictures.READ_STYLES, 30))
    monkeypatch.setattr(pictures, "NUM_VARIED", 30)
    monkeypatch.setattr(pictures, "NUM_NOISE", 4)
    monkeypatch.setattr(pictures, "UNKNOWN_STYLES", ("twemoji",))
    monkeypatch.setattr(image_decoder, "NUM_CROWDS", 8)
    return tmp_path


def run_stage(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    module, fixed = TRAINING_STAGES[name]
    monkeypatch.setattr(sys, "argv", [name, *fixed, *arguments])
    main = importlib.import_module(module).main
    main(standalone_mode=False) if isinstance(main, click.Command) else main()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")  # those of the compiler and of what was written by others
@pytest.mark.skipif(bool(LACKING), reason=f"training needs {', '.join(LACKING)} too")
def test_every_stage_takes_what_those_before_it_left(little: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TRAINING_STAGES:
        arguments = ("--out", str(little / "model")) if name == "package" else ARGUMENTS.get(name, ())
        run_stage(name, monkeypatch, *arguments)
    model = load_model(little / "model")
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    try:
        request = GenerationRequest("r", (Turn("user", (TextPart("a cat"),)),), model.recipes["text_to_image"])
        (answer,) = answer_all(engine, [request])
    finally:
        engine.close()
    image = slot_of(answer, "image").image
    assert image is not None
    assert image.shape == (80, 80, 3)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(bool(LACKING), reason=f"training needs {', '.join(LACKING)} too")
def test_a_stage_goes_on_where_it_was_stopped(
    little: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stage("drawings", monkeypatch)
    run_stage("image-tokenizer", monkeypatch, "--steps", "1")
    run_stage("image-tokenizer", monkeypatch, "--steps", "2")
    assert "image_tokenizer: going on from step 1" in capsys.readouterr().out
