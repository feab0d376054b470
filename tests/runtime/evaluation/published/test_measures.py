import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.evaluation.published.measures import DRAWS, Measure, Report, average, bootstrapped, resampled


@settings(max_examples=20)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_an_interval_lies_within_what_there_is(values: list[float]) -> None:
    measure = average("share", np.array(values))
    assert measure.num == len(values)
    assert measure.low is not None
    assert measure.high is not None
    assert min(values) - 1e-9 <= measure.low <= measure.high <= max(values) + 1e-9
    assert min(values) - 1e-9 <= measure.value <= max(values) + 1e-9


def test_an_interval_is_as_wide_as_theory_says() -> None:
    values = np.arange(400) % 2 * 1.0
    measure = average("share", values)
    assert measure.low == pytest.approx(0.5 - 1.96 * 0.5 / 20, abs=0.01)
    assert measure.high == pytest.approx(0.5 + 1.96 * 0.5 / 20, abs=0.01)


def test_the_same_values_have_the_same_interval() -> None:
    values = np.linspace(0, 1, 9)
    assert average("share", values) == average("share", values)


def test_one_item_has_no_interval_and_none_no_mean() -> None:
    assert average("share", np.array([0.5])) == Measure("share", 0.5, 1)
    with pytest.raises(ValueError, match="nothing to average"):
        average("share", np.array([]))


def test_draws_are_of_as_many_items() -> None:
    sizes = resampled(lambda chosen: np.full(len(chosen), float(chosen.shape[1])), 7)
    assert sizes.shape == (DRAWS,)
    assert set(sizes) == {7.0}
    assert bootstrapped("most", lambda chosen: chosen.max(-1).astype(float), 7).value == 6.0


def test_a_line_of_the_table() -> None:
    assert "41.7%" in str(Measure("accuracy", 5 / 12, 12))
    assert "[" not in str(Measure("accuracy", 5 / 12, 12))
    line = str(Measure("total", 83.333, 24, 58.3, 100.0, unit="points"))
    assert "83.33 points" in line
    assert "[58.30, 100.00]" in line
    assert line.endswith("n=24")


def test_the_report_is_a_file_of_json(tmp_path: Path) -> None:
    measure = Measure("accuracy", 0.5, 4, 0.1, 0.9)
    report = Report("vqa", "small", "reply", 4, 7, 1.25, (measure,), {"seed": 7})
    report.write(tmp_path / "new" / "report.json")
    written = json.loads((tmp_path / "new" / "report.json").read_text())
    assert written["measures"] == [
        {"name": "accuracy", "value": 0.5, "num": 4, "low": 0.1, "high": 0.9, "unit": "ratio"}
    ]
    assert {name: written[name] for name in ("task", "model", "recipe", "num", "seed", "seconds")} == {
        "task": "vqa",
        "model": "small",
        "recipe": "reply",
        "num": 4,
        "seed": 7,
        "seconds": 1.25,
    }
    assert str(report).splitlines()[0] == "vqa: small, recipe reply, n=4, 1.2 s"
