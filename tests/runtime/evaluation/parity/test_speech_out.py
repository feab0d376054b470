import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from runtime.evaluation.parity.case import Case, Outcome, run
from runtime.evaluation.parity.speech_out import cases

GOLDEN = Path(__file__).parents[3] / "golden"
CASES = list(cases(GOLDEN))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(GOLDEN / "speech_out", tmp_path / "speech_out")
    return tmp_path / "speech_out"


def decoded(folder: Path) -> Outcome:
    outcome, *_ = (run(case) for case in cases(folder.parent))
    return outcome


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Case) -> None:
    outcome = run(case)
    assert outcome.passed, outcome.said


def test_an_empty_folder_has_no_cases(tmp_path: Path) -> None:
    assert list(cases(tmp_path)) == []


@pytest.mark.parametrize(
    ("file", "weight", "said"),
    [
        ("flow_weights", "encoder.encoders.0.self_attn.pos_bias_v", "encoder"),
        ("flow_weights", "length_regulator.model.0.weight", "mu"),
        ("flow_weights", "decoder.estimator.mid_blocks.0.1.0.attn1.to_v.weight", "conditional velocity"),
        ("hift_weights", "f0_predictor.condnet.0.weight_g", "pitch"),
        ("hift_weights", "m_source.l_linear.weight", "sound"),
        ("hift_weights", "resblocks.2.activations1.1.alpha", "sound"),
    ],
)
def test_another_weight_fails(folder: Path, file: str, weight: str, said: str) -> None:
    path = folder / f"{file}.safetensors"
    weights = load_file(path)
    save_file({**weights, weight: weights[weight] + 0.2}, path)
    outcome = decoded(folder)
    assert not outcome.passed
    assert f"({said})" in outcome.said


def test_another_number_of_steps_fails(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for entry in config["cases"]:
        entry["flow_steps"] += 1
    (folder / "config.json").write_text(json.dumps(config))
    outcome = decoded(folder)
    assert not outcome.passed
    assert "times" in outcome.said


def test_other_noise_of_the_source_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = torch.randn

    def flipped(*shape: int, **kwargs: Any) -> torch.Tensor:
        return drawn(*shape, **kwargs).flip(-1)

    monkeypatch.setattr(torch, "randn", flipped)
    outcome = run(CASES[0])
    assert not outcome.passed
    assert "(sound)" in outcome.said
