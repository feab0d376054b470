import json
from pathlib import Path

import pytest

from runtime.evaluation.figures import Figure, figure_of, mean, share, word_errors, write_figures


def test_a_share_has_its_interval() -> None:
    figure = share("right", [True] * 80 + [False] * 20, chance=0.1)
    assert figure.value == pytest.approx(0.8)
    assert figure.low == pytest.approx(0.711, abs=0.002)  # Wilson, 80 of 100
    assert figure.high == pytest.approx(0.867, abs=0.002)


def test_certain_answers_are_not_certain_figures() -> None:
    figure = share("right", [True] * 10)
    assert figure.low < 0.8
    assert figure.high == 1.0


def test_word_errors_are_per_word() -> None:
    figure = word_errors("errors", [("two red apples", "two bread apples"), ("a cat", "a cat")])
    assert figure.value == pytest.approx(1 / 5)
    assert figure.low <= figure.value <= figure.high


def test_a_line_says_what_stands_beside_it() -> None:
    line = str(Figure("things", 0.5, 40, 0.35, 0.65, ceiling=0.9, chance=1 / 64))
    assert "50.0 %" in line
    assert "ceiling 90.0 %" in line
    assert "chance 1.6 %" in line
    assert "chance" not in str(share("count", [True], ceiling=0.9))


def test_a_mean_is_told_in_its_unit() -> None:
    figure = mean("sound", [3.0, 4.0, 5.0], "MOS")
    assert (figure.value, figure.num) == (4.0, 3)
    assert 3.0 <= figure.low < 4.0 < figure.high <= 5.0
    assert "4.00" in str(figure)


def test_what_is_written_holds_what_is_wanted_and_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    figures = [share("text to image: count", [True] * 9 + [False], chance=0.25), share("no such", [True])]
    write_figures(figures, path)
    rows = json.loads(path.read_text())
    assert rows["text to image: count"]["wanted"]["value"] == 0.85
    assert rows["text to image: count"]["reached"] is True
    assert rows["no such"]["wanted"] is None
    assert [figure_of(row) for row in rows.values()] == figures
