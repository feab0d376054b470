"""What a scripted runtime waits for and what it answers, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from omnisdk.media import Image, Speech
from omnisdk.protocol.events import ServerEvent
from omnisdk.testing.likeness import apart, unlike


class ScriptError(AssertionError):
    """The conversation went otherwise than the script; its text says where."""


@dataclass(frozen=True)
class Expect:
    """words: of what the user wrote."""

    words: str


@dataclass(frozen=True)
class ExpectImage:
    """The user shows a picture; image: this one, None for any."""

    image: Image | None = None


@dataclass(frozen=True)
class Hear:
    """The user spoke; words: what the model takes it for. speech: what was said, None for anything."""

    words: str
    speech: Speech | None = None


@dataclass(frozen=True)
class ExpectResult:
    """output: of what a tool gave."""

    output: str


@dataclass(frozen=True)
class Emit:
    """Told as it stands before the next answer."""

    event: ServerEvent


@dataclass(frozen=True)
class Say:
    text: str
    image: Image | None = None
    speech: Speech | None = None
    lasts_s: float = 0.0


@dataclass(frozen=True)
class Call:
    """arguments: a JSON object."""

    name: str
    arguments: str


@dataclass(frozen=True)
class Fail:
    message: str


@dataclass(frozen=True)
class Vanish:
    """The socket breaks."""


Answer = Say | Call | Fail | Vanish
Wanted = Expect | ExpectImage | Hear | ExpectResult
Step = Wanted | Emit | Answer


@dataclass(frozen=True)
class Said:
    """What came since the answer before. written: of each item; spoken, shown: of the user; results: of tools."""

    written: Sequence[str] = ()
    spoken: Sequence[Speech] = ()
    results: Sequence[str] = ()
    shown: Sequence[Image] = ()

    def __str__(self) -> str:
        came = [f"{list(self.written)}"] if self.written else []
        came += [f"{len(self.spoken)} spoken"] if self.spoken else []
        came += [f"{len(self.shown)} shown"] if self.shown else []
        came += [f"tool results {list(self.results)}"] if self.results else []
        return ", ".join(came) or "nothing"


@dataclass(frozen=True)
class Next:
    """The answer, what was heard before it, and what is told before it."""

    answer: Answer
    heard: str | None = None
    told: tuple[ServerEvent, ...] = ()


class Script:
    """Each answer that is asked for takes the next one written here, once all that is expected before it was found."""

    def __init__(self) -> None:
        self._steps: deque[Step] = deque()
        self._problems: list[str] = []
        self._num_answers = 0
        self.shown: list[Image] = []  # all that came, of every session
        self.spoken: list[Speech] = []

    def add(self, step: Step) -> None:
        self._steps.append(step)

    def next(self, said: Said) -> Next:
        """What to answer to what was said. What does not fit is noted, and a Fail."""
        self._num_answers += 1
        heard: str | None = None
        told: list[ServerEvent] = []
        while self._steps:
            step = self._steps.popleft()
            if isinstance(step, Answer):
                return Next(step, heard, tuple(told))
            if isinstance(step, Emit):
                told.append(step.event)
            elif missing := _missing(step, said):
                return self._wrong(f"expected {missing}, came {said}")
            elif isinstance(step, Hear):
                heard = step.words
        return self._wrong(f"the script is at its end, came {said}; give it one more say(...) or call(...)")

    def note(self, problem: str) -> None:
        self._problems.append(problem)

    def verify(self) -> None:
        """Raises ScriptError if something went otherwise than written, or some of it was not used."""
        problems = [*self._problems]
        if self._steps and not problems:
            problems.append(f"{len(self._steps)} of the script were not used, first {self._steps[0]}")
        if problems:
            raise ScriptError("; ".join(problems))

    def _wrong(self, problem: str) -> Next:
        self.note(f"answer {self._num_answers}: {problem}")
        return Next(Fail(self._problems[-1]))


def _missing(step: Wanted, said: Said) -> str | None:
    match step:
        case Expect() if not any(step.words in words for words in said.written):
            return f"the user to say {step.words!r}"
        case ExpectImage(image):
            return _missing_picture(image, said.shown)
        case Hear() if not said.spoken:
            return f"the user to speak ({step.words!r})"
        case Hear(words, speech) if speech is not None:
            told = [problem for came in said.spoken if (problem := unlike(speech, came)) is not None]
            wanted = (
                f"the user to speak as recorded ({words!r}, {speech.duration_s:.2f} s; heard was {'; '.join(told)})"
            )
            return wanted if len(told) == len(said.spoken) else None
        case ExpectResult() if not any(step.output in output for output in said.results):
            return f"a tool to give {step.output!r}"
    return None


def _missing_picture(image: Image | None, shown: Sequence[Image]) -> str | None:
    if not shown:
        return f"the user to show {image or 'a picture'}"
    told = [problem for came in shown if image is not None and (problem := apart(image, came)) is not None]
    return f"the user to show this {image} (shown was {'; '.join(told)})" if len(told) == len(shown) else None
