import json
from dataclasses import fields
from pathlib import Path

import torch
from click.testing import CliRunner

from runtime.benchmarks.fidelity import Workload
from runtime.benchmarks.step import BareForward, StepFigures, measure_step, step
from runtime.engine.model import save_model
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model

MODEL = tiny_model()


def test_the_step_is_measured_beside_the_bare_forward_pass() -> None:
    figures = measure_step(MODEL, num_responses=2, num_steps=4)
    assert figures.canvases == 4
    assert figures.steps >= 4
    assert min(figures.forward_ms, figures.step_ms, figures.step_with_partials_ms) > 0
    assert figures.overhead == figures.step_ms / figures.forward_ms - 1


def test_a_larger_network_is_timed_if_wanted() -> None:
    small = Workload(64, 1, 300, 64, 10, 12, "float32")
    figures = measure_step(MODEL, num_steps=2, network=small)
    assert figures.ratio is not None
    assert figures.ratio > 0
    assert figures.model_ratio > 0
    assert measure_step(MODEL, num_steps=2).ratio is None


def test_the_bare_pass_does_the_work_of_the_step() -> None:
    from runtime.engine.prompt import EncodedTurn, lay_out

    canvas = lay_out([EncodedTurn("user", ("a cat",))], MODEL.recipes["image_to_text"], MODEL.vocabulary, MODEL.text)
    (slot,) = canvas.slots
    items = [ForwardItem(canvas, torch.arange(slot.start, slot.start + 3), slot.vocabulary)]
    expected = InProcessExecutor(MODEL.backbone, "float32").forward(items)
    torch.testing.assert_close(BareForward.of(MODEL.backbone, items)(), expected)


def test_the_command_writes_its_figures(tmp_path: Path) -> None:
    save_model(MODEL, tmp_path / "model", SPEECH_ENCODER)
    file = tmp_path / "figures.json"
    ran = CliRunner().invoke(
        step, ["--model", str(tmp_path / "model"), "--steps", "3", "--no-large", "--json", str(file)]
    )
    assert ran.exit_code == 0, ran.output
    assert "bare forward pass" in ran.output
    assert json.loads(file.read_text()).keys() == {field.name for field in fields(StepFigures)}


def test_a_folder_without_a_model_ends_the_command_in_words(tmp_path: Path) -> None:
    ran = CliRunner().invoke(step, ["--model", str(tmp_path)])
    assert ran.exit_code == 1
    assert "no model.json here" in ran.output
