"""Speech synthesis: texts spoken by the model, written down again by an independent recogniser."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.engine.request import TextPart
from runtime.evaluation.published.answer_log import AnswerLog, Row
from runtime.evaluation.published.answerer import Answer
from runtime.evaluation.published.audio import read_speech, write_speech
from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.file_names import file_name
from runtime.evaluation.published.manifest import TEXT_NAMES, read_manifest
from runtime.evaluation.published.measures import Measure
from runtime.evaluation.published.recogniser import Recogniser
from runtime.evaluation.published.run import Task
from runtime.evaluation.published.transcripts import Normaliser, error_measures

RECIPES = ("tts", "text_to_speech")
EXPECTED = """expected is LibriTTS as it is published,
  DATA/1089/134686/1089_134686_000001_000001.normalized.txt     the text
or a file of items,
  DATA.jsonl                                                    lines like: {"text": "he hoped"}
  DATA.tsv, DATA.txt                                            a text a line"""


@dataclass(frozen=True)
class Sentence:
    id: str
    text: str


class Spoken(Row, frozen=True, kw_only=True):
    """sound: file name in the speech folder; None if nothing was said."""

    text: str
    sound: str | None
    duration_s: float


class Heard(Row, frozen=True, kw_only=True):
    """What a recogniser wrote down; `id` is the digest of the sound file."""

    text: str


def read_sentences(data: Path) -> list[Sentence]:
    """The texts of LibriTTS's folders or of a file. Raises DataError."""
    if data.is_file():
        return [Sentence(item["id"], item["text"]) for item in read_manifest(data, {"text": TEXT_NAMES})]
    paths = sorted(data.rglob("*.normalized.txt"))
    if not paths:
        raise DataError(f"{data}: no file *.normalized.txt in it or below; {EXPECTED}")
    return [
        Sentence(path.name.removesuffix(".normalized.txt"), path.read_text(encoding="utf-8").strip()) for path in paths
    ]


def speaking(folder: Path) -> Task[Sentence, Spoken]:
    """Sound files go into the folder."""

    def keep(sentence: Sentence, answer: Answer, seconds: float) -> Spoken:
        sound, duration_s = None, 0.0
        if answer.speech is not None:
            sound = f"{file_name(sentence.id)}.wav"
            write_speech(answer.speech, folder / sound)
            duration_s = len(answer.speech.pcm) / answer.speech.sample_rate_hz
        return Spoken(
            id=sentence.id,
            seconds=seconds,
            error=answer.error,
            text=sentence.text,
            sound=sound,
            duration_s=duration_s,
        )

    return Task(ask=lambda sentence: (TextPart(sentence.text),), keep=keep)


def listen(rows: Iterable[Spoken], folder: Path, recogniser: Recogniser, log: AnswerLog[Heard]) -> Iterator[str]:
    """What is heard in each row's sound, "" where there is none. Sounds in the log are not listened to again."""
    for row in rows:
        if row.sound is None:
            yield ""
            continue
        path = folder / row.sound
        if not path.is_file():
            raise DataError(f"{path}: the sound of item {row.id} is gone; remove its line from the answers to redo it")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest not in log:
            log.append(Heard(id=digest, text=recogniser.write_down(read_speech(path))))
        yield log.rows[digest].text


def measure_speed(rows: Sequence[Spoken]) -> Iterator[Measure]:
    """How much was said, and how long that took."""
    duration_s = sum(row.duration_s for row in rows)
    yield Measure("speech", duration_s, len(rows), unit="s")
    yield Measure("nothing said", sum(row.sound is None for row in rows) / len(rows), len(rows))
    if duration_s:
        yield Measure("real-time factor", sum(row.seconds for row in rows) / duration_s, len(rows), unit="s/s")


def measure_errors(rows: Sequence[Spoken], heard: Sequence[str], normalise: Normaliser) -> Iterator[Measure]:
    """Where nothing was said every word counts as deleted."""
    yield from error_measures([(row.text, text) for row, text in zip(rows, heard, strict=True)], normalise)
