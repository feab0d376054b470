from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from runtime.engine.request import SpeechPart, TextPart
from runtime.evaluation.published.answer_log import AnswerLog
from runtime.evaluation.published.answerer import Answer, Question
from runtime.evaluation.published.audio import read_speech
from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.run import answer_items
from runtime.evaluation.published.transcripts import plain
from runtime.evaluation.published.tts import (
    Heard,
    Sentence,
    Spoken,
    listen,
    measure_errors,
    measure_speed,
    read_sentences,
    speaking,
)
from tests.support.scripted_answerer import ScriptedAnswerer

SENTENCES = [Sentence("a", "a red cat"), Sentence("b/c", "two dogs"), Sentence("silent", "the sun")]


def speak(question: Question) -> Answer:
    """A tenth of a second a character; nothing for the sun."""
    (part,) = question.parts
    assert isinstance(part, TextPart)
    if part.text == "the sun":
        return Answer(question.id)
    return Answer(question.id, speech=SpeechPart(np.full(800 * len(part.text), len(part.text), np.int16), 8000))


@dataclass
class ScriptedRecogniser:
    """Knows a text by its length."""

    name: str = "scripted"
    num_heard: list[int] = field(default_factory=list)

    def write_down(self, speech: SpeechPart) -> str:
        self.num_heard.append(len(speech.pcm))
        return {7200: "A red bat.", 6400: "Two dogs"}[len(speech.pcm)]


@pytest.fixture
def rows(tmp_path: Path) -> list[Spoken]:
    log = AnswerLog(tmp_path / "answers.jsonl", {}, Spoken)
    return list(answer_items(speaking(tmp_path / "speech"), SENTENCES, ScriptedAnswerer(speak), log))


@pytest.fixture
def heard_log(tmp_path: Path) -> AnswerLog[Heard]:
    return AnswerLog(tmp_path / "heard.jsonl", {"recogniser": "scripted"}, Heard)


def test_libri_tts_is_read_as_it_is_published(tmp_path: Path) -> None:
    chapter = tmp_path / "1089" / "134686"
    chapter.mkdir(parents=True)
    for name, text in (("1089_134686_000002_000000", "Mister Cat.\n"), ("1089_134686_000001_000001", "The sun.")):
        (chapter / f"{name}.normalized.txt").write_text(text)
        (chapter / f"{name}.original.txt").write_text("Mr. Cat")
    assert read_sentences(tmp_path) == [
        Sentence("1089_134686_000001_000001", "The sun."),
        Sentence("1089_134686_000002_000000", "Mister Cat."),
    ]


def test_texts_come_from_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a red cat\n")
    assert read_sentences(tmp_path / "a.txt") == [Sentence("00000", "a red cat")]
    with pytest.raises(DataError, match=r"no file \*\.normalized\.txt(.|\n)*LibriTTS"):
        read_sentences(tmp_path)


def test_what_is_spoken_is_kept_as_files(rows: list[Spoken], tmp_path: Path) -> None:
    assert [row.text for row in rows] == [sentence.text for sentence in SENTENCES]
    assert [row.duration_s for row in rows] == pytest.approx([0.9, 0.8, 0.0])
    assert rows[0].sound == "a.wav"
    assert rows[2].sound is None
    assert {path.name for path in (tmp_path / "speech").iterdir()} == {rows[0].sound, rows[1].sound}
    assert len(read_speech(tmp_path / "speech" / "a.wav").pcm) == 7200


def test_what_is_heard_is_judged(rows: list[Spoken], heard_log: AnswerLog[Heard], tmp_path: Path) -> None:
    heard = list(listen(rows, tmp_path / "speech", ScriptedRecogniser(), heard_log))
    assert heard == ["A red bat.", "Two dogs", ""]
    rate, substitutions, deletions, _ = measure_errors(rows, heard, plain)
    assert rate.value == pytest.approx(3 / 7)
    assert (substitutions.value, deletions.value) == (pytest.approx(1 / 7), pytest.approx(2 / 7))


def test_a_sound_is_listened_to_once(rows: list[Spoken], heard_log: AnswerLog[Heard], tmp_path: Path) -> None:
    recogniser = ScriptedRecogniser()
    first = list(listen(rows, tmp_path / "speech", recogniser, heard_log))
    again = AnswerLog(heard_log.path, {"recogniser": "scripted"}, Heard)
    assert list(listen(rows, tmp_path / "speech", recogniser, again)) == first
    assert recogniser.num_heard == [7200, 6400]


def test_a_sound_that_is_gone_is_named(rows: list[Spoken], heard_log: AnswerLog[Heard], tmp_path: Path) -> None:
    (tmp_path / "speech" / "a.wav").unlink()
    with pytest.raises(DataError, match=r"a\.wav: the sound of item a is gone"):
        list(listen(rows, tmp_path / "speech", ScriptedRecogniser(), heard_log))


def test_how_much_and_how_fast() -> None:
    said = Spoken(id="a", seconds=3.0, text="a", sound="a.wav", duration_s=2.0)
    silent = Spoken(id="b", seconds=1.0, text="b", sound=None, duration_s=0.0)
    measures = {measure.name: measure.value for measure in measure_speed([said, silent])}
    assert measures == {"speech": 2.0, "nothing said": 0.5, "real-time factor": 2.0}
    assert "real-time factor" not in {measure.name for measure in measure_speed([silent])}
