from pathlib import Path

import pytest

from runtime.evaluation.published.answer_log import AnswerLog, Row
from runtime.evaluation.published.errors import SetupError


class Said(Row, frozen=True, kw_only=True):
    text: str


def opened(path: Path, **settings: object) -> AnswerLog[Said]:
    return AnswerLog(path, settings or {"seed": 0}, Said)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "answers.jsonl"


def test_rows_are_there_when_the_file_is_opened_again(path: Path) -> None:
    log = opened(path)
    log.append(Said(id="a", text="one\ntwo", seconds=0.5))
    log.append(Said(id="b", text="", error="out of memory"))
    again = opened(path)
    assert again.rows == log.rows
    assert "a" in again
    assert "b" not in again, "what failed is not done"
    assert "c" not in again


def test_a_line_that_was_cut_off_is_dropped(path: Path) -> None:
    log = opened(path)
    log.append(Said(id="a", text="one"))
    whole = path.read_bytes()
    log.append(Said(id="b", text="two"))
    path.write_bytes(path.read_bytes()[:-5])
    again = opened(path)
    assert list(again.rows) == ["a"]
    assert path.read_bytes() == whole
    again.append(Said(id="b", text="three"))
    assert opened(path).rows["b"].text == "three"


def test_a_run_stopped_before_its_first_line_was_whole_begins_anew(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"settings":{"se')
    opened(path).append(Said(id="a", text="one"))
    assert list(opened(path).rows) == ["a"]


def test_the_later_row_counts(path: Path) -> None:
    log = opened(path)
    log.append(Said(id="a", text="", error="failed"))
    log.append(Said(id="a", text="one"))
    assert opened(path).rows["a"].text == "one"


def test_other_settings_are_refused_by_name(path: Path) -> None:
    opened(path, seed=0, model="small")
    with pytest.raises(SetupError, match=r"seed 0, now 1.*--out") as refused:
        opened(path, seed=1, model="small")
    assert "model" not in str(refused.value)


@pytest.mark.parametrize("line", ["not json", '{"id":"a"}', '{"text":"a"}'])
def test_a_damaged_line_is_named(path: Path, line: str) -> None:
    log = opened(path)
    log.append(Said(id="a", text="one"))
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(SetupError, match="line 3 is damaged"):
        opened(path)


def test_a_file_of_something_else_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('["no", "settings"]\n')
    with pytest.raises(SetupError, match="line 1 is damaged"):
        opened(path)
