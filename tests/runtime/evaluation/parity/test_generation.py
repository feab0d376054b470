import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from runtime.evaluation.parity.case import Case, Outcome, run
from runtime.evaluation.parity.generation import cases

GOLDEN = Path(__file__).parents[3] / "golden"
CASES = list(cases(GOLDEN))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Case) -> None:
    outcome = run(case)
    assert outcome.passed, outcome.said


def test_there_are_cases_with_both_vocabularies() -> None:
    assert {case.name.split("/")[0] for case in CASES} == {"generation", "generation_fullvocab"}


def test_an_empty_folder_has_no_cases(tmp_path: Path) -> None:
    assert list(cases(tmp_path)) == []


def changed(folder: Path, name: str, **values: Any) -> Outcome:
    """What comes of a recording of which some values are others."""
    shutil.copytree(GOLDEN / "backbone", folder / "backbone", dirs_exist_ok=True)
    (folder / "generation").mkdir(exist_ok=True)
    recording = json.loads((GOLDEN / "generation" / f"{name}.json").read_text()) | values
    (folder / "generation" / f"{name}.json").write_text(json.dumps(recording))
    shutil.copy(GOLDEN / "generation" / f"{name}.safetensors", folder / "generation")
    (case,) = cases(folder)
    return run(case)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"n_history": 3}, "number of steps: 10 instead of 3"),
        ({"steps": [[[20, 1]]]}, "10 steps: "),
        ({"final_sequence": [0] * 60}, "final sequence: "),
        ({"rows_seen_by_sampler": [1]}, "rows seen: "),
        ({"effective_top_k": 7}, "values in force: (50, 10, 0.001) instead of (7, 10, 0.001)"),
        ({"effective_top_p": 0.5}, "top_p in force: 0.9 instead of 0.5"),
        ({"torch_seed": 1}, "draws: "),
        ({"uniform_draws_per_step": [1]}, "draws a step: "),
        ({"lm_head_multiplier": 0.1}, "first confidence"),
    ],
)
def test_what_is_recorded_otherwise_fails(tmp_path: Path, values: dict[str, Any], said: str) -> None:
    outcome = changed(tmp_path, "origin_sampled_topp", **values)
    assert not outcome.passed
    assert said in outcome.said


def test_an_argument_nobody_knows_fails(tmp_path: Path) -> None:
    outcome = changed(tmp_path, "step_ratio", arguments={"beams": 4})
    assert not outcome.passed
    assert "beams" in outcome.said


def test_matrices_of_other_bytes_fail(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "generation_fullvocab", tmp_path / "generation_fullvocab")
    file = tmp_path / "generation_fullvocab" / "config.json"
    config = json.loads(file.read_text())
    for recipe in config["generated_tensors"].values():
        recipe["shape"][0] = config["dream"]["vocab_size"] = 2000
    file.write_text(json.dumps(config))
    (case,) = cases(tmp_path)
    assert not run(case).passed
