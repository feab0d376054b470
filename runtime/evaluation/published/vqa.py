"""Questions about pictures with the answer yes or no, with the scores of MME."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from runtime.codecs.image import ImageError, decode_image
from runtime.engine.request import ImagePart, TextPart
from runtime.evaluation.published.answer_log import Row
from runtime.evaluation.published.answerer import Answer
from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.measures import DRAWS, Chosen, Measure, interval, of_all, resampled
from runtime.evaluation.published.run import Task

RECIPES = ("vqa", "image_to_text")
PAPER_LENGTH, PAPER_STEPS = 8, 8  # of an answer, where the recipe is the published model's

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
GROUPS = {"perception": PERCEPTION, "cognition": COGNITION}


@dataclass(frozen=True)
class Query:
    """A question about a picture. `truth`: "yes" or "no"."""

    id: str
    subtask: str
    image: Path
    question: str
    truth: str


class Replied(Row, frozen=True, kw_only=True):
    """A line of a result file."""

    subtask: str
    image: str
    question: str
    truth: str
    answer: str

    @property
    def verdict(self) -> str:
        return verdict_of(self.answer)

    @property
    def right(self) -> bool:
        return self.verdict == self.truth


def verdict_of(answer: str) -> str:
    """As MME's tool reads an answer: "yes" or "no" if one stands in its first four characters, else "other"."""
    beginning = answer.lower()[:4]
    return next((word for word in ("yes", "no") if word in beginning), "other")


def ask(query: Query) -> tuple[TextPart, ImagePart]:
    return TextPart(query.question), ImagePart(_read_picture(query.image))


def keep(query: Query, answer: Answer, seconds: float) -> Replied:
    return Replied(
        id=query.id,
        seconds=seconds,
        error=answer.error,
        subtask=query.subtask,
        image=query.image.name,
        question=query.question,
        truth=query.truth,
        answer=" ".join(answer.text.split()),
    )


TASK: Task[Query, Replied] = Task(ask, keep)


def _read_picture(path: Path) -> NDArray[np.uint8]:
    try:
        return decode_image(path.read_bytes())
    except (OSError, ImageError) as error:
        raise DataError(f"{path}: {error}") from error


@dataclass(frozen=True)
class Subtask:
    """right, asked: (pictures,) int64, questions about each. num_other: answers that are neither yes nor no."""

    name: str
    right: NDArray[np.int64]
    asked: NDArray[np.int64]
    num_other: int

    def accuracy(self, chosen: Chosen) -> NDArray[np.float64]:
        """Share of questions."""
        return np.asarray(self.right[chosen].sum(-1) / self.asked[chosen].sum(-1))

    def accuracy_plus(self, chosen: Chosen) -> NDArray[np.float64]:
        """Share of pictures about which every question was answered right."""
        return np.asarray((self.right[chosen] == self.asked[chosen]).mean(-1))

    def score(self, chosen: Chosen) -> NDArray[np.float64]:
        """0 to 200."""
        return 100 * (self.accuracy(chosen) + self.accuracy_plus(chosen))

    @property
    def num_pictures(self) -> int:
        return len(self.asked)


def subtasks_of(rows: Sequence[Replied]) -> list[Subtask]:
    """By subtask; lines about one picture stand one after another, two in MME itself."""
    found = []
    for name in dict.fromkeys(row.subtask for row in rows):
        own = [row for row in rows if row.subtask == name]
        pictures = [list(lines) for _, lines in groupby(own, key=lambda row: row.image)]
        right = np.array([sum(line.right for line in lines) for lines in pictures])
        num_other = sum(row.verdict == "other" for row in own)
        found.append(Subtask(name, right, np.array([len(lines) for lines in pictures]), num_other))
    return found


def measure(rows: Sequence[Replied]) -> Iterator[Measure]:
    """Each subtask's accuracy, accuracy+ and score, then the totals of MME's two groups over the subtasks there are.

    Intervals come from drawing pictures anew within each subtask.
    """
    subtasks = subtasks_of(rows)
    for subtask in subtasks:
        yield _total(f"{subtask.name}: accuracy", [subtask], Subtask.accuracy)
        yield _total(f"{subtask.name}: accuracy+", [subtask], Subtask.accuracy_plus)
        yield _total(f"{subtask.name}: score", [subtask], Subtask.score, unit="points")
    for group, names in GROUPS.items():
        members = [subtask for subtask in subtasks if subtask.name in names]
        if members:
            name = f"{group}: total of {len(members)} of {len(names)} subtasks"
            yield _total(name, members, Subtask.score, unit="points")
    yield Measure("neither yes nor no", sum(subtask.num_other for subtask in subtasks) / len(rows), len(rows))


def _total(
    name: str,
    subtasks: Sequence[Subtask],
    statistic: Callable[[Subtask, Chosen], NDArray[np.float64]],
    unit: str = "ratio",
) -> Measure:
    """A statistic added up over subtasks."""
    value, draws = 0.0, np.zeros(DRAWS)
    for seed, subtask in enumerate(subtasks):
        own = partial(statistic, subtask)
        value += of_all(own, subtask.num_pictures)
        draws += resampled(own, subtask.num_pictures, seed)
    return Measure(name, value, sum(int(subtask.asked.sum()) for subtask in subtasks), *interval(draws), unit=unit)
