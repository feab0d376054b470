import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from runtime.evaluation.parity.case import Case, run
from runtime.evaluation.parity.training import cases

GOLDEN = Path(__file__).parents[3] / "golden"
CASES = list(cases(GOLDEN))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Case) -> None:
    outcome = run(case)
    assert outcome.passed, outcome.said


def test_every_recorded_kind_is_among_them() -> None:
    listed = json.loads((GOLDEN / "training" / "cases.json").read_text())
    names = {case.name for case in CASES}
    assert {f"training/mask {entry['name']}" for entry in listed["forward_process"]} <= names
    assert {f"training/sample {entry['task']}" for entry in listed["preprocess"]} <= names
    assert {f"training/padding {entry['python_random_seed']}" for entry in listed["update_labels_and_inputs"]} <= names
    assert {"training/mask statistics", "training/packing", "training/loss", "training/forward train_forward"} <= names


def test_an_empty_folder_has_no_cases(tmp_path: Path) -> None:
    assert list(cases(tmp_path)) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("training", "backbone"):
        shutil.copytree(GOLDEN / part, tmp_path / part)
    return tmp_path


def said_of(folder: Path, name: str) -> str:
    (outcome,) = [run(case) for case in cases(folder) if case.name == f"training/{name}"]
    assert not outcome.passed
    return outcome.said


def sample(listed: dict[str, Any], task: str) -> dict[str, Any]:
    entry: dict[str, Any] = next(entry for entry in listed["preprocess"] if entry["task"] == task)
    return entry


@pytest.mark.parametrize(
    ("change", "name", "said"),
    [
        (lambda listed: listed["forward_process"][0].update(special_mask_ratio=0.0), "mask fp0", "mask:"),
        (lambda listed: listed["forward_process"][1].update(torch_manual_seed=7), "mask fp1", "draws"),
        (lambda listed: listed["statistics"].update(masked_fraction_normal=0.6), "mask statistics", "masked_fraction"),
        (lambda listed: listed["update_labels_and_inputs"][0].update(max_n=1), "padding 1000", "ids"),
        (lambda listed: sample(listed, "tts").update(torch_manual_seed=7), "sample tts", "masked"),
        (lambda listed: sample(listed, "vqa").update(python_random_seed=7), "sample vqa", "padded"),
        (lambda listed: listed["audio_frames"].update({"q.wav": 5}), "sample asr", "ids: shape"),
        (lambda listed: listed["packing"]["segments"][0]["labels"].__setitem__(0, 3), "packing", "labels"),
        (lambda listed: listed["packing"].update(audio_positions_after=[16] * 6), "packing", "speech positions"),
        (lambda listed: listed["packing"]["out"].update(max_seq_len=34), "packing", "longest: 35 instead of 34"),
    ],
)
def test_what_is_recorded_otherwise_fails(
    folder: Path, change: Callable[[dict[str, Any]], object], name: str, said: str
) -> None:
    path = folder / "training" / "cases.json"
    listed = json.loads(path.read_text())
    change(listed)
    path.write_text(json.dumps(listed))
    assert said in said_of(folder, name)


def test_another_loss_fails(folder: Path) -> None:
    path = folder / "training" / "cases.safetensors"
    golden = load_file(path)
    save_file({**golden, "loss.labels": golden["loss.labels"].roll(1, 1)}, path)
    assert "loss" in said_of(folder, "loss")


def test_the_padding_that_the_last_row_of_a_pack_sees_counts(folder: Path) -> None:
    path = folder / "backbone" / "case_train_forward.safetensors"
    golden = load_file(path)
    hidden = golden["input_ids"].masked_fill(golden["attention_mask"] == 0, 5)
    assert not torch.equal(hidden, golden["input_ids"])
    save_file({**golden, "input_ids": hidden}, path)
    assert "loss" in said_of(folder, "forward train_forward")
