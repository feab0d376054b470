"""An answerer that follows a script."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from runtime.evaluation.published.answerer import Answer, Question


@dataclass
class ScriptedAnswerer:
    """script: what is answered. asked: the questions, in the order they came."""

    script: Callable[[Question], Answer]
    asked: list[Question] = field(default_factory=list)

    def answers(self, questions: Iterable[Question]) -> Iterator[Answer]:
        for question in questions:
            self.asked.append(question)
            yield self.script(question)
