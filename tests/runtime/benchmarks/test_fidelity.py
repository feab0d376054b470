import json
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from runtime.benchmarks.fidelity import Contest, FidelityFigures, Precision, Workload, fidelity, measure_fidelity

SMALL = Workload(64, 1, 500, 100, 12, 110, "float32")
OPTIONS = ["--hidden-size", "64", "--layers", "1", "--vocab", "500", "--codes", "100", "--prompt", "5", "--new", "20"]


@pytest.mark.parametrize("masked", [110, 108, 40, 1])
def test_both_loops_take_the_same_step(masked: int) -> None:
    contest = Contest(SMALL, SMALL.backbone(), SMALL.sequence(masked))
    published, reference = contest.published(), contest.reference()
    assert torch.equal(published, reference)
    assert int((reference == SMALL.mask_id).sum()) == masked - 1


def test_the_corrected_step_fills_a_code() -> None:
    contest = Contest(SMALL, SMALL.backbone(), SMALL.sequence(40))
    after = contest.corrected()
    filled = after.token_ids[(contest.sequence == SMALL.mask_id) & ~after.masked]
    assert len(filled) == 1
    assert int(filled) > SMALL.mask_id


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_ratios_are_those_of_the_sums(precision: Precision) -> None:
    figures = measure_fidelity(Workload(64, 1, 500, 100, 5, 20, precision), [20, 3], repeats=2)
    assert [step.masked for step in figures.steps] == [20, 3]
    published, reference, corrected = (
        sum(getattr(step, f"{way}_ms") for step in figures.steps) for way in ("published", "reference", "corrected")
    )
    assert figures.reference_ratio == published / reference
    assert figures.corrected_ratio == published / corrected
    assert all(step.forward_ms > 0 for step in figures.steps)


def test_the_command_writes_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    ran = CliRunner().invoke(fidelity, [*OPTIONS, "--json", str(file)])
    assert ran.exit_code == 0, ran.output
    assert "published / reference" in ran.output
    told = json.loads(file.read_text())
    assert told.keys() == {field.name for field in fields(FidelityFigures)}
    assert [step["masked"] for step in told["steps"]] == [19, 10, 1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hidden-size", "100"], "no multiple of 64"),
        (["--codes", "499"], "leave two at least for others"),
        (["--masked", "21"], "21 of 20 positions cannot be open"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_in_words(options: list[str], said: str) -> None:
    ran = CliRunner().invoke(fidelity, [*OPTIONS, *options])
    assert ran.exit_code == 2
    assert said in ran.output
