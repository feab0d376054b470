import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runtime.evaluation.parity.command import parity
from runtime.evaluation.parity.parts import PARTS

GOLDEN = Path(__file__).parents[3] / "golden"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(parity, [str(argument) for argument in arguments])


def test_all_that_is_shipped_of_the_golden_data_passes(tmp_path: Path) -> None:
    result = run(GOLDEN, "--json", tmp_path / "parity.json")
    lines = result.output.splitlines()
    assert [line for line in lines if line.startswith("FAIL")] == []
    assert lines[-1] == f"{len(lines) - 1} passed, 0 failed"
    assert result.exit_code == 0
    outcomes = json.loads((tmp_path / "parity.json").read_text())
    assert {outcome["name"].partition("/")[0] for outcome in outcomes} >= PARTS.keys() - {"manifest"}


def test_a_difference_fails_and_says_so(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "prompts", tmp_path / "prompts")
    rendered = tmp_path / "prompts" / "rendered.json"
    rendered.write_text(rendered.read_text().replace("assistant", "helper"))
    result = run(tmp_path, "--part", "prompts")
    assert result.exit_code == 1
    assert "FAIL  prompts/0" in result.output
    assert result.output.splitlines()[-1].endswith("failed")


def test_a_damaged_part_does_not_hide_the_others(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "prompts", tmp_path / "prompts")
    (tmp_path / "sampler").mkdir()
    (tmp_path / "sampler" / "cases.json").write_text("{")
    result = run(tmp_path)
    assert "FAIL  sampler" in result.output
    assert "pass  prompts/0" in result.output
    assert result.exit_code == 1


def test_files_are_checked_against_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1")
    listed = [{"file": "a.json", "sha256": "0" * 64}, {"file": "b.json", "sha256": "0" * 64}]
    (tmp_path / "manifest.json").write_text(json.dumps({"files": listed}))
    result = run(tmp_path, "--part", "manifest")
    assert "a.json: 'other bytes'" in result.output
    assert "b.json: 'missing'" in result.output


def test_a_folder_without_golden_cases_is_refused(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "no golden cases here; a golden folder holds some of the folders backbone, sampler" in result.output


@pytest.mark.parametrize("part", ["backbone", "image", "speech_tokens", "speech_out"])
def test_disturbed_weights_fail(part: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(GOLDEN / part, tmp_path / part)
    path = next((tmp_path / part).glob("*weights.safetensors"))
    weights = {
        name: tensor * 1.01 if tensor.is_floating_point() else tensor for name, tensor in load_file(path).items()
    }
    save_file(weights, path)
    result = run(tmp_path, "--part", part)
    assert result.exit_code == 1, result.output
