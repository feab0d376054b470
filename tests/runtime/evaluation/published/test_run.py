from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.engine.request import TextPart
from runtime.evaluation.published.answer_log import AnswerLog, Row
from runtime.evaluation.published.answerer import Answer, Question, seed_of
from runtime.evaluation.published.run import AnswerError, Task, answer_items
from tests.support.scripted_answerer import ScriptedAnswerer


@dataclass(frozen=True)
class Word:
    id: str


class Said(Row, frozen=True, kw_only=True):
    text: str


WORDS = [Word(name) for name in ("a", "b", "c")]
TASK: Task[Word, Said] = Task(
    ask=lambda word: (TextPart(f"say {word.id}"),),
    keep=lambda word, answer, seconds: Said(
        id=word.id, text=f"{word.id}: {answer.text}", seconds=seconds, error=answer.error
    ),
)


def echo(question: Question) -> Answer:
    (part,) = question.parts
    assert isinstance(part, TextPart)
    return Answer(question.id, text=part.text.upper())


@pytest.fixture
def log(tmp_path: Path) -> AnswerLog[Said]:
    return AnswerLog(tmp_path / "answers.jsonl", {}, Said)


def test_every_item_is_asked_once_and_kept(log: AnswerLog[Said]) -> None:
    answerer = ScriptedAnswerer(echo)
    rows = list(answer_items(TASK, WORDS, answerer, log, seed=3))
    assert [row.text for row in rows] == ["a: SAY A", "b: SAY B", "c: SAY C"]
    assert [question.seed for question in answerer.asked] == [seed_of(3, word.id) for word in WORDS]
    assert all(row.seconds > 0 for row in rows)
    assert list(answer_items(TASK, WORDS, answerer, log, seed=3)) == []
    assert len(answerer.asked) == 3


def test_it_goes_on_where_it_was_stopped(log: AnswerLog[Said]) -> None:
    first: Iterator[Said] = answer_items(TASK, WORDS, ScriptedAnswerer(echo), log)
    next(first)
    again = ScriptedAnswerer(echo)
    list(answer_items(TASK, WORDS, again, log))
    assert [question.id for question in again.asked] == ["b", "c"]
    assert set(log.rows) == {"a", "b", "c"}


def test_answers_may_come_in_any_order(log: AnswerLog[Said]) -> None:
    class Backwards(ScriptedAnswerer):
        def answers(self, questions):  # type: ignore[no-untyped-def]
            return super().answers(reversed(list(questions)))

    rows = list(answer_items(TASK, WORDS, Backwards(echo), log))
    assert [row.text for row in rows] == ["c: SAY C", "b: SAY B", "a: SAY A"]


def fails_at_b(question: Question) -> Answer:
    return Answer(question.id, error="too long") if question.id == "b" else echo(question)


def test_a_failure_ends_the_run_and_is_asked_again(log: AnswerLog[Said]) -> None:
    with pytest.raises(AnswerError, match=r"item b .*too long.*--keep-going"):
        list(answer_items(TASK, WORDS, ScriptedAnswerer(fails_at_b), log))
    assert "a" in log
    assert "b" not in log
    again = ScriptedAnswerer(echo)
    list(answer_items(TASK, WORDS, again, log))
    assert [question.id for question in again.asked] == ["b", "c"]


def test_a_failure_may_count_as_an_empty_answer(log: AnswerLog[Said]) -> None:
    rows = list(answer_items(TASK, WORDS, ScriptedAnswerer(fails_at_b), log, keep_going=True))
    assert [row.error for row in rows] == [None, "too long", None]
    assert rows[1].text == "b: "
