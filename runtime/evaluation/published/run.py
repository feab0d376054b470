"""Puts the items of a benchmark to an answerer and keeps what comes, item by item."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from runtime.engine.request import Part
from runtime.evaluation.published.answer_log import AnswerLog, Row
from runtime.evaluation.published.answerer import Answer, Answerer, Question, seed_of
from runtime.evaluation.published.errors import EvaluationError


class AnswerError(EvaluationError):
    """The model could not answer an item."""


class Item(Protocol):
    @property
    def id(self) -> str: ...


ItemT = TypeVar("ItemT", bound=Item)
RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True)
class Task(Generic[ItemT, RowT]):
    """How the items of a benchmark are asked and kept.

    ask: what the user says. keep: the row for an answer, given the item, the answer and the seconds it took.
    """

    ask: Callable[[ItemT], tuple[Part, ...]]
    keep: Callable[[ItemT, Answer, float], RowT]


def answer_items(
    task: Task[ItemT, RowT],
    items: Sequence[ItemT],
    answerer: Answerer,
    log: AnswerLog[RowT],
    *,
    seed: int = 0,
    keep_going: bool = False,
) -> Iterator[RowT]:
    """Ask what the log does not hold yet, and yield each row when it is in the log.

    The seconds of the rows add up to the time that passed. An item that fails is logged with its error; then
    AnswerError, or with `keep_going` the next item.
    """
    waiting = {item.id: item for item in items if item.id not in log}
    questions = (Question(item.id, task.ask(item), seed_of(seed, item.id)) for item in waiting.values())
    since_s = time.perf_counter()
    for answer in answerer.answers(questions):
        now_s = time.perf_counter()
        row = task.keep(waiting[answer.id], answer, now_s - since_s)
        log.append(row)
        if row.error is not None and not keep_going:
            raise AnswerError(
                f"item {answer.id} was not answered: {row.error}. What was answered before is kept in {log.path}; "
                "run the same again to go on there, with --keep-going to count such items as empty answers"
            )
        yield row
        since_s = now_s
