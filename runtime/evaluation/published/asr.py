"""Speech recognition: recordings with their texts, written down by the model, judged by word error rate."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.evaluation.published.answer_log import Row
from runtime.evaluation.published.answerer import Answer
from runtime.evaluation.published.audio import SUFFIXES, read_speech
from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.manifest import AUDIO_NAMES, TEXT_NAMES, read_manifest
from runtime.evaluation.published.measures import Measure
from runtime.evaluation.published.run import Task
from runtime.evaluation.published.transcripts import Normaliser, error_measures

RECIPES = ("asr", "speech_to_text")
EXPECTED = """expected is LibriSpeech as it is published,
  DATA/1089/134686/1089-134686.trans.txt       lines like: 1089-134686-0000 HE HOPED THERE WOULD BE STEW
  DATA/1089/134686/1089-134686-0000.flac       (or .wav, .mp3, .ogg)
or a file of items,
  DATA.jsonl                                   lines like: {"audio": "clips/1.flac", "text": "he hoped"}
  DATA.tsv                                     lines like: clips/1.flac<tab>he hoped"""


@dataclass(frozen=True)
class Utterance:
    """A recording and what is said in it."""

    id: str
    audio: Path
    text: str


class Transcribed(Row, frozen=True, kw_only=True):
    said: str
    heard: str


TASK: Task[Utterance, Transcribed] = Task(
    ask=lambda utterance: (read_speech(utterance.audio),),
    keep=lambda utterance, answer, seconds: transcribed(utterance, answer, seconds),
)


def transcribed(utterance: Utterance, answer: Answer, seconds: float) -> Transcribed:
    return Transcribed(
        id=utterance.id, seconds=seconds, error=answer.error, said=utterance.text, heard=answer.text.strip()
    )


def read_utterances(data: Path) -> list[Utterance]:
    """The items of LibriSpeech's folders or of a manifest, whose paths are relative to it. Raises DataError."""
    if data.is_file():
        items = read_manifest(data, {"audio": AUDIO_NAMES, "text": TEXT_NAMES})
        return [Utterance(item["id"], data.parent / item["audio"], item["text"]) for item in items]
    transcripts = sorted(data.rglob("*.trans.txt"))
    if not transcripts:
        raise DataError(f"{data}: no file *.trans.txt in it or below; {EXPECTED}")
    return [utterance for path in transcripts for utterance in _chapter(path)]


def _chapter(transcript: Path) -> list[Utterance]:
    utterances = []
    for line in transcript.read_text(encoding="utf-8").splitlines():
        item_id, _, text = line.strip().partition(" ")
        if item_id:
            utterances.append(Utterance(item_id, sound_of(transcript.parent, item_id), text))
    return utterances


def sound_of(folder: Path, name: str) -> Path:
    """The sound file of this name. Raises DataError."""
    for suffix in SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    raise DataError(f"{folder}: no sound file {name} with any of the endings {', '.join(SUFFIXES)}; {EXPECTED}")


def measure(rows: Sequence[Transcribed], normalise: Normaliser) -> Iterable[Measure]:
    yield from error_measures([(row.said, row.heard) for row in rows], normalise)
