import json
import shutil
from pathlib import Path

import pytest

from runtime.evaluation.parity.case import Case, run
from runtime.evaluation.parity.sampler import cases

GOLDEN = Path(__file__).parents[3] / "golden"
CASES = list(cases(GOLDEN))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Case) -> None:
    outcome = run(case)
    assert outcome.passed, outcome.said


def test_both_precisions_the_filter_and_the_schedule_are_among_them() -> None:
    names = {case.name for case in CASES}
    assert {
        "sampler/float32.plain",
        "sampler/bfloat16.plain",
        "sampler/topp90_filtered_keep",
        "sampler/schedule",
    } <= names


def test_an_empty_folder_has_no_cases(tmp_path: Path) -> None:
    assert list(cases(tmp_path)) == []


def test_what_is_recorded_otherwise_fails(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "sampler", tmp_path / "sampler")
    recordings = json.loads((GOLDEN / "sampler" / "cases.json").read_text())
    for recording in recordings:
        recording["arguments"] = {"repeat_penalty": 3.0, "top_p": 0.7, "max_position_penalty": 3.0}
        recording["mask_id"] = 399
    (tmp_path / "sampler" / "cases.json").write_text(json.dumps(recordings))
    schedule = [{"max_new_tokens": 3, "steps": 2, "unmasked_per_step": [2, 1]}]
    (tmp_path / "sampler" / "transfer_schedule.json").write_text(json.dumps(schedule))
    outcomes = {case.name: run(case) for case in cases(tmp_path)}
    assert not outcomes["sampler/float32.plain"].passed
    assert not outcomes["sampler/bfloat16.plain"].passed
    assert outcomes["sampler/schedule"].said == "3 in 2 steps: [1, 2] instead of [2, 1]"
