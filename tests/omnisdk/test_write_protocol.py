from pathlib import Path

import pytest

from omnisdk.write_protocol import GOLDEN, files, write

PROJECT = Path(__file__).parents[2]
FILES = files()


@pytest.mark.parametrize("path", FILES, ids=str)
def test_what_stands_in_the_project_is_what_the_structs_say(path: Path) -> None:
    told = (PROJECT / path).read_text(encoding="utf-8") if (PROJECT / path).exists() else None
    assert told == FILES[path], f"{path} is not what the protocol is now; if the change is meant, run: make protocol"


def test_nothing_stands_there_for_events_that_are_no_more() -> None:
    assert {GOLDEN / path.name for path in (PROJECT / GOLDEN).iterdir()} <= set(FILES)


def test_writing(tmp_path: Path) -> None:
    (tmp_path / GOLDEN).mkdir(parents=True)
    (tmp_path / GOLDEN / "of.old.txt").write_text("")
    write(tmp_path)
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()} == set(FILES)
