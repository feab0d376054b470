import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from runtime.evaluation.parity.case import Outcome, run
from runtime.evaluation.parity.speech_tokens import cases

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The part's folder in a golden folder of its own."""
    return Path(shutil.copytree(GOLDEN / "speech_tokens", tmp_path / "speech_tokens"))


def outcomes(folder: Path, named: str = "") -> list[Outcome]:
    return [run(case) for case in cases(folder.parent) if named in case.name]


def test_all_that_is_shipped_passes() -> None:
    found = outcomes(GOLDEN / "speech_tokens")
    assert found
    assert [outcome for outcome in found if not outcome.passed] == []


def test_another_codebook_fails(copied: Path) -> None:
    path = copied / "weights.safetensors"
    weights = load_file(path)
    save_file({**weights, "codebook.weight": weights["codebook.weight"].flip(0).contiguous()}, path)
    found = outcomes(copied, "clip")
    assert found
    assert not any(outcome.passed for outcome in found)
    assert "codes" in found[0].said


@pytest.mark.parametrize("name", ["conv2.weight", "layers.1.self_attn.k_proj.weight", "embed_positions2.weight"])
def test_a_disturbed_weight_fails(copied: Path, name: str) -> None:
    path = copied / "weights.safetensors"
    weights = load_file(path)
    save_file({**weights, name: weights[name] * 1.2}, path)
    found = outcomes(copied, "clip")
    assert found
    assert not any(outcome.passed for outcome in found)


def test_a_missing_weight_fails(copied: Path) -> None:
    path = copied / "weights.safetensors"
    weights = load_file(path)
    del weights["layers.0.fc1.bias"]
    save_file(weights, path)
    found = outcomes(copied, "clip")
    assert found
    assert all("layers.0.fc1.bias is missing" in outcome.said for outcome in found)


@pytest.mark.parametrize(("field", "value"), [("wav_sha256", "0" * 64), ("numpy_RandomState_seed", 1)])
def test_another_waveform_than_the_recipe_makes_fails(copied: Path, field: str, value: object) -> None:
    path = copied / "config.json"
    config = json.loads(path.read_text())
    made = [entry for entry in config["cases"] if "recipe" in entry]
    for entry in made:
        entry[field] = value
    path.write_text(json.dumps(config))
    found = [outcome for entry in made for outcome in outcomes(copied, f"/{entry['case']}")]
    if not found:
        pytest.skip("no clip made by a recipe is in this golden folder")
    assert all("waveform" in outcome.said for outcome in found)


def test_a_key_list_of_another_size_fails(copied: Path) -> None:
    path = copied / "config.json"
    config = json.loads(path.read_text())
    config["published"]["quantize_vocab_size"] += 1
    path.write_text(json.dumps(config))
    (outcome,) = outcomes(copied, "published keys")
    assert not outcome.passed
    assert "codebook.weight" in outcome.said
