import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

pytest.importorskip("accelerate")

from accelerate.utils import DistributedType

from runtime.engine.model import load_model, save_model
from runtime.training.published import train as training
from runtime.training.published.plan import PlanError, read_plan
from runtime.training.published.train import finetune, schedule, train
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model
from tests.support.tiny_samples import tiny_set


def write_plan(folder: Path, output: str = "out", **changes: Any) -> Path:
    """The three stages of the paper, a few steps each."""
    sources = {name: {"file": f"data/{path.name}"} for name, path in tiny_set(folder / "data").items()}
    plan = {
        "model": "start",
        "output": output,
        "sequence_length": 320,
        "rows_per_step": 2,
        "learning_rate": 2e-3,
        "precision": "float32",
        "save_every": 3,
        "report_every": 1,
        "stages": [
            {"name": "pictures", "steps": 4, "sources": [sources["t2i"], sources["vqa"]]},
            {"name": "speech", "steps": 4, "sources": [sources["t2i"], sources["asr"]]},
            {"name": "spoken", "steps": 4, "sources": [sources["s2i"]], "train_speech_encoder": True},
        ],
        **changes,
    }
    path = folder / f"{output}.json"
    path.write_text(json.dumps(plan))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tiny_model(), tmp_path / "start", SPEECH_ENCODER)
    return tmp_path


def history(folder: Path, output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / output / "history.jsonl").read_text().splitlines()]


def losses(folder: Path, output: str) -> list[tuple[str, int, float]]:
    return [(entry["stage"], entry["step"], entry["loss"]) for entry in history(folder, output)]


@pytest.mark.filterwarnings("ignore::Warning:accelerate")
def test_three_stages_killed_on_the_way_learn_as_unbroken_ones(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(read_plan(write_plan(folder, "whole")))
    whole = losses(folder, "whole")
    assert [entry[:2] for entry in whole] == [
        (name, i + 1) for name in ("pictures", "speech", "spoken") for i in range(4)
    ]

    class KilledError(Exception):
        pass

    taken = 0

    def step_or_die(self: training.Trainer, *arguments: Any) -> float:
        nonlocal taken
        taken += 1
        if taken in (6, 14):  # within the second stage, and behind a checkpoint of the third
            raise KilledError
        return plain(self, *arguments)

    plain = training.Trainer._step
    monkeypatch.setattr(training.Trainer, "_step", step_or_die)
    plan = write_plan(folder, "broken")
    for _ in range(2):
        with pytest.raises(KilledError):
            train(read_plan(plan))
    train(read_plan(plan))
    # Steps after the last checkpoint were done twice; what counts is the last time.
    last = {entry[:2]: entry[2] for entry in losses(folder, "broken")}
    for stage, step, loss in whole:
        assert last[stage, step] == pytest.approx(loss, abs=1e-5), (stage, step)


@pytest.mark.filterwarnings("ignore::Warning:accelerate")
def test_what_is_trained_can_be_served(folder: Path) -> None:
    result = CliRunner().invoke(finetune, [str(write_plan(folder, "trained"))])
    assert "omni serve --model" in result.output
    before, after = load_model(folder / "start"), load_model(folder / "trained")
    encoder = "audio_model.model.encoder.encoders0.0.norm1.weight"
    for name in ("layers.0.mlp.up_proj.weight", encoder):
        assert not torch.equal(before.backbone.model.state_dict()[name], after.backbone.model.state_dict()[name])
    assert after.vocabulary == before.vocabulary
    assert after.text.encode("a cat") == before.text.encode("a cat")


@pytest.mark.filterwarnings("ignore::Warning:accelerate")
def test_a_frozen_encoder_stays_as_it_was(folder: Path) -> None:
    plan = json.loads(write_plan(folder, "frozen").read_text())
    plan["stages"] = plan["stages"][1:2]
    (folder / "frozen.json").write_text(json.dumps(plan))
    train(read_plan(folder / "frozen.json"))
    before, after = load_model(folder / "start"), load_model(folder / "frozen")
    for name, tensor in before.backbone.model.audio_model.state_dict().items():
        assert torch.equal(tensor, after.backbone.model.audio_model.state_dict()[name]), name
    projection = "audio_projection.mlp.0.weight"
    assert not torch.equal(
        before.backbone.model.state_dict()[projection], after.backbone.model.state_dict()[projection]
    )


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [schedule(step, 100, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert all(a >= b for a, b in pairwise(rates[9:]))
    assert rates[10] == 1.0
    assert rates[99] < 0.001
    assert math.isclose(schedule(0, 1, 0.0), 1.0)


def test_a_plan_that_cannot_be_carried_out_is_told_in_a_line(folder: Path) -> None:
    plan = write_plan(folder, "wrong", model="nowhere")
    result = CliRunner().invoke(finetune, [str(plan)])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert "nowhere" in result.output


def test_a_finished_plan_stays_finished(folder: Path) -> None:
    plan = json.loads(write_plan(folder, "done").read_text())
    (folder / "done.json").write_text(json.dumps({**plan, "stages": plan["stages"][:1]}))
    weights = []
    for _ in range(2):
        train(read_plan(folder / "done.json"))
        weights.append(load_model(folder / "done").backbone.lm_head.weight.clone())
    assert torch.equal(*weights)
    assert not torch.equal(weights[0], load_model(folder / "start").backbone.lm_head.weight)


def test_small_updates_of_bfloat16_weights_are_kept(folder: Path) -> None:
    path = folder / "start" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "dtype": "bfloat16"}))
    plan = json.loads(write_plan(folder, "half", learning_rate=1e-5).read_text())
    (folder / "half.json").write_text(json.dumps({**plan, "stages": plan["stages"][:1]}))
    train(read_plan(folder / "half.json"))
    saved = torch.load(folder / "half" / "checkpoint" / "pytorch_model.bin", weights_only=True)
    (name,) = [name for name in saved if name.endswith("layers.0.mlp.up_proj.weight")]
    before = load_model(folder / "start").backbone.model.layers[0].mlp.up_proj.weight.float()
    assert saved[name].dtype == torch.float32
    assert float((saved[name] != before).float().mean()) > 0.9
    assert load_model(folder / "half").backbone.lm_head.weight.dtype == torch.bfloat16


def test_a_kill_while_a_checkpoint_is_put_in_place_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = folder / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "progress.json").write_text("old")
    (folder / "checkpoint.new").mkdir()

    def killed(self: Path, target: Path) -> Path:
        if self.name == "checkpoint.new":
            raise KeyboardInterrupt
        return plain(self, target)

    plain = Path.rename
    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        training.replace_folder(folder / "checkpoint.new", checkpoint)
    training.mend_folder(checkpoint)
    assert (checkpoint / "progress.json").read_text() == "old"


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED"])
def test_weights_split_over_processes_are_refused_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(training.Accelerator, "distributed_type", DistributedType(kind))
    with pytest.raises(PlanError, match=f"set up for {kind}, which splits the weights"):
        train(read_plan(write_plan(folder)))
    assert not (folder / "out").exists()
