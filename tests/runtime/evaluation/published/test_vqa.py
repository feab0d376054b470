from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from runtime.engine.request import ImagePart, TextPart
from runtime.evaluation.published.answer_log import AnswerLog
from runtime.evaluation.published.answerer import Answer
from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.run import answer_items
from runtime.evaluation.published.vqa import (
    COGNITION,
    GROUPS,
    PERCEPTION,
    TASK,
    Query,
    Replied,
    measure,
    subtasks_of,
    verdict_of,
)
from tests.support.scripted_answerer import ScriptedAnswerer


def query(folder: Path) -> Query:
    return Query("existence/1.png/0", "existence", folder / "1.png", "Is there a dog?", "yes")


def test_the_model_is_given_picture_and_question(tmp_path: Path) -> None:
    Image.fromarray(np.full((6, 9, 3), 77, np.uint8)).save(tmp_path / "1.png")
    answerer = ScriptedAnswerer(lambda question: Answer(question.id, text="Yes,\n\tthere is."))
    log = AnswerLog(tmp_path / "answers.jsonl", {}, Replied)
    (row,) = answer_items(TASK, [query(tmp_path)], answerer, log)
    said, shown = answerer.asked[0].parts
    assert said == TextPart("Is there a dog?")
    assert isinstance(shown, ImagePart)
    assert shown.pixels.shape == (6, 9, 3)
    assert row.answer == "Yes, there is."
    assert row.right


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"nothing")
    log = AnswerLog(tmp_path / "answers.jsonl", {}, Replied)
    with pytest.raises(DataError, match=r"1\.png: 7 bytes"):
        list(answer_items(TASK, [query(tmp_path)], ScriptedAnswerer(lambda question: Answer(question.id)), log))


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("yes", "yes"), ("No", "no"), ("YES, there is", "yes"), ("no.", "no"), (" yes", "yes"), ("  yes", "other"),
        ("not at all", "no"), ("know", "no"), ("It is yes", "other"), ("", "other"), ("unclear", "other"),
    ],
)  # fmt: skip
def test_an_answer_is_read_as_the_tool_reads_it(answer: str, verdict: str) -> None:
    assert verdict_of(answer) == verdict


def subtask_rows(name: str, rights: Sequence[tuple[bool, bool]]) -> list[Replied]:
    return [
        Replied(
            id=f"{name}/{i}/{j}",
            subtask=name,
            image=f"{i}.png",
            question="?",
            truth=truth,
            answer=truth if right else "perhaps",
        )
        for i, pair in enumerate(rights)
        for j, (truth, right) in enumerate(zip(("yes", "no"), pair, strict=True))
    ]


pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=6)


@settings(max_examples=30)
@given(st.dictionaries(st.sampled_from((*PERCEPTION, *COGNITION)), pairs, min_size=1, max_size=4))
def test_scores_are_those_of_the_definition(rights: dict[str, list[tuple[bool, bool]]]) -> None:
    rows = [row for name, each in rights.items() for row in subtask_rows(name, each)]
    found = {figure.name: figure for figure in measure(rows)}
    scores = {}
    for name, each in rights.items():
        accuracy = sum(a + b for a, b in each) / (2 * len(each))
        plus = sum(a and b for a, b in each) / len(each)
        assert found[f"{name}: accuracy"].value == pytest.approx(accuracy)
        assert found[f"{name}: accuracy+"].value == pytest.approx(plus)
        scores[name] = 100 * (accuracy + plus)
        score = found[f"{name}: score"]
        assert score.value == pytest.approx(scores[name])
        assert score.low is not None
        assert score.high is not None
        assert 0 <= score.low <= score.high <= 200
    for group, names in GROUPS.items():
        members = [name for name in rights if name in names]
        if members:
            total = found[f"{group}: total of {len(members)} of {len(names)} subtasks"]
            assert total.value == pytest.approx(sum(scores[name] for name in members))
    wrong = sum(not right for each in rights.values() for pair in each for right in pair)
    assert found["neither yes nor no"].value == pytest.approx(wrong / len(rows))


def test_all_right_is_the_most_and_all_wrong_nothing() -> None:
    best = {m.name: m for m in measure([r for name in PERCEPTION for r in subtask_rows(name, [(True, True)] * 3)])}
    total = best["perception: total of 10 of 10 subtasks"]
    assert (total.value, total.low, total.high) == (2000.0, 2000.0, 2000.0)
    worst = {m.name: m.value for m in measure(subtask_rows("OCR", [(False, False)] * 3))}
    assert worst["OCR: score"] == 0.0
    assert worst["neither yes nor no"] == 1.0


def test_always_yes_is_half_right_and_never_right_about_a_picture() -> None:
    rows = subtask_rows("scene", [(True, False)] * 4)
    (subtask,) = subtasks_of(rows)
    assert subtask.score(np.arange(4)[None]) == [50.0]


def test_subtasks_of_another_benchmark_have_scores_and_no_total() -> None:
    names = [figure.name for figure in measure(subtask_rows("weather", [(True, True)]))]
    assert "weather: score" in names
    assert not any("total" in name for name in names)
