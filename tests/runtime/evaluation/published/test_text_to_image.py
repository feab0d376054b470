from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from runtime.engine.request import TextPart
from runtime.evaluation.published.answer_log import AnswerLog
from runtime.evaluation.published.answerer import Answer, Question
from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.measures import Measure
from runtime.evaluation.published.run import AnswerError, answer_items
from runtime.evaluation.published.text_to_image import (
    Drawn,
    Pixels,
    Prompt,
    drawing,
    measure,
    read_picture,
    read_prompts,
)
from tests.support.scripted_answerer import ScriptedAnswerer

PROMPTS = [Prompt("1", "a red apple"), Prompt("x/2", "a dog")]


def draw(question: Question) -> Answer:
    """A picture that is as bright as the prompt is long."""
    (part,) = question.parts
    assert isinstance(part, TextPart)
    return Answer(question.id, picture=np.full((4, 6, 3), len(part.text), np.uint8))


def drawn(folder: Path, script: ScriptedAnswerer, *, keep_going: bool = False) -> list[Drawn]:
    log = AnswerLog(folder / "answers.jsonl", {}, Drawn)
    list(answer_items(drawing(folder / "pictures"), PROMPTS, script, log, keep_going=keep_going))
    return [log.rows[prompt.id] for prompt in PROMPTS]


def test_prompts_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a red apple\na dog\n")
    assert read_prompts(tmp_path / "a.txt") == [Prompt("00000", "a red apple"), Prompt("00001", "a dog")]
    with pytest.raises(DataError, match=r"is no file(.|\n)*COCO captions"):
        read_prompts(tmp_path)


def test_pictures_are_files_named_after_their_prompts(tmp_path: Path) -> None:
    rows = drawn(tmp_path, ScriptedAnswerer(draw))
    assert rows[0].picture == "1.png"
    assert rows[1].picture is not None
    np.testing.assert_array_equal(read_picture(tmp_path / "pictures" / "1.png"), np.full((4, 6, 3), 11, np.uint8))
    assert rows == drawn(tmp_path, ScriptedAnswerer(lambda question: pytest.fail("drawn twice")))


def test_a_model_that_draws_nothing_has_failed(tmp_path: Path) -> None:
    with pytest.raises(AnswerError, match="drew no picture"):
        drawn(tmp_path, ScriptedAnswerer(lambda question: Answer(question.id, text="no")))


def test_the_judge_sees_prompts_with_their_pictures(tmp_path: Path) -> None:
    def brightness(prompts: Sequence[str], pictures: Sequence[Pixels]) -> Iterator[Measure]:
        rights = [len(prompt) == picture[0, 0, 0] for prompt, picture in zip(prompts, pictures, strict=True)]
        yield Measure("as bright as long", float(np.mean(rights)), len(rights))

    rows = drawn(tmp_path, ScriptedAnswerer(draw))
    assert list(measure(rows, tmp_path / "pictures", brightness)) == [
        Measure("drawn", 1.0, 2),
        Measure("as bright as long", 1.0, 2),
    ]
    assert [figure.name for figure in measure(rows, tmp_path / "pictures", None)] == ["drawn"]


def test_what_was_not_drawn_is_counted_and_not_judged(tmp_path: Path) -> None:
    def one_fails(question: Question) -> Answer:
        return Answer(question.id, error="too long") if question.id == "1" else draw(question)

    def count(prompts: Sequence[str], pictures: Sequence[Pixels]) -> Iterator[Measure]:
        yield Measure("judged", 1.0, len(pictures))

    rows = drawn(tmp_path, ScriptedAnswerer(one_fails), keep_going=True)
    assert [(m.name, m.value, m.num) for m in measure(rows, tmp_path / "pictures", count)] == [
        ("drawn", 0.5, 2),
        ("judged", 1.0, 1),
    ]


def test_a_picture_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"1\.png: the picture is gone"):
        read_picture(tmp_path / "1.png")
