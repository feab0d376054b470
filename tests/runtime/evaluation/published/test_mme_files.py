from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.mme_files import (
    first_pictures,
    read_queries,
    read_results,
    result_files,
    write_results,
)
from runtime.evaluation.published.vqa import Query, Replied, measure

ASKED = "Is there a dog? Please answer yes or no.\tYes\nIs there a cat? Please answer yes or no.\tNo\n\n"


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 9, 3), 77, np.uint8)).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


@pytest.fixture
def mme(tmp_path: Path) -> Path:
    """A subtask of each of the two published layouts, and folders that are none."""
    folder = tmp_path / "MME"
    for name in ("0001", "0002"):
        picture(folder / "existence" / f"{name}.png")
        text(folder / "existence" / f"{name}.txt", ASKED)
        picture(folder / "artwork" / "images" / f"{name}.jpg")
        text(folder / "artwork" / "questions_answers_YN" / f"{name}.txt", ASKED)
    text(folder / "eval_tool" / "readme.txt", "how to")
    return folder


def test_both_published_layouts_are_read(mme: Path) -> None:
    queries = read_queries(mme)
    assert [(query.subtask, query.image.name, query.truth) for query in queries] == [
        (subtask, f"{name}.{suffix}", truth)
        for subtask, suffix in (("artwork", "jpg"), ("existence", "png"))
        for name in ("0001", "0002")
        for truth in ("yes", "no")
    ]
    assert queries[0].question == "Is there a dog? Please answer yes or no."
    assert len({query.id for query in queries}) == 8


def test_the_files_of_the_tool_are_read(tmp_path: Path) -> None:
    picture(tmp_path / "images" / "count" / "1.png")
    picture(tmp_path / "color" / "images" / "1.png")
    for subtask in ("count", "color"):
        text(tmp_path / "eval_tool" / "Your_Results" / f"{subtask}.txt", "1.png\tA dog?\tYes\n1.png\tA cat?\tNo\n")
    queries = read_queries(tmp_path)
    assert queries[1] == Query("color/1.png/1", "color", tmp_path / "color" / "images" / "1.png", "A cat?", "no")
    assert queries[2].image == tmp_path / "images" / "count" / "1.png"


def test_what_is_wrong_is_said(mme: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no questions in any of its 0 folders(.|\n)*DATA/existence/0001.png"):
        read_queries(tmp_path / "MME" / "existence")
    (mme / "existence" / "0002.png").rename(mme / "existence" / "0002.tiff")
    with pytest.raises(DataError, match=r"existence: no picture 0002 .*\.png"):
        read_queries(mme)
    (mme / "existence" / "0002.tiff").rename(mme / "existence" / "0002.PNG")
    assert len(read_queries(mme)) == 8
    text(mme / "existence" / "0001.txt", "Is there a dog?\tmaybe\n")
    with pytest.raises(DataError, match="line 1: the right answer is 'maybe'"):
        read_queries(mme)
    text(mme / "existence" / "0001.txt", "Is there a dog? Yes\n")
    with pytest.raises(DataError, match="line 1: 1 fields between tabs, 2 are needed"):
        read_queries(mme)
    (mme / "artwork" / "images" / "0001.jpg").unlink()
    with pytest.raises(DataError, match="no picture 0001"):
        read_queries(mme)


def test_a_limit_takes_pictures_of_every_subtask(mme: Path) -> None:
    some = first_pictures(read_queries(mme), 3)
    assert [(query.subtask, query.image.stem) for query in some] == [
        ("artwork", "0001"), ("artwork", "0001"), ("artwork", "0002"), ("artwork", "0002"),
        ("existence", "0001"), ("existence", "0001"),
    ]  # fmt: skip
    assert first_pictures(read_queries(mme), 99) == read_queries(mme)


def test_result_files_go_there_and_back(mme: Path, tmp_path: Path) -> None:
    rows = [
        Replied(
            id=query.id,
            subtask=query.subtask,
            image=query.image.name,
            question=query.question,
            truth=query.truth,
            answer="Yes it is",
        )
        for query in read_queries(mme)
    ]
    write_results(rows, tmp_path / "results")
    lines = (tmp_path / "results" / "existence.txt").read_text().splitlines()
    assert lines[1] == "0001.png\tIs there a cat? Please answer yes or no.\tNo\tYes it is"
    paths = result_files(tmp_path / "results")
    assert [path.name for path in paths] == ["artwork.txt", "existence.txt"]
    assert list(measure(read_results(paths))) == list(measure(rows))
    assert result_files(mme) == []
