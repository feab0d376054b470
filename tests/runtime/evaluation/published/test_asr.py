from pathlib import Path

import numpy as np
import pytest
import soundfile

from runtime.engine.request import SpeechPart
from runtime.evaluation.published.answer_log import AnswerLog
from runtime.evaluation.published.answerer import Answer
from runtime.evaluation.published.asr import TASK, Transcribed, Utterance, measure, read_utterances
from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.run import answer_items
from runtime.evaluation.published.transcripts import plain
from tests.support.scripted_answerer import ScriptedAnswerer

TEXTS = {"84-121-0000": "A RED CAT", "84-121-0001": "TWO DOGS", "85-7-0000": "THE SUN"}


def libri_speech(folder: Path) -> Path:
    """Two chapters of two speakers; each recording as long as its text."""
    for name, text in TEXTS.items():
        speaker, chapter, _ = name.split("-")
        place = folder / speaker / chapter
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"{name}.flac", np.full(160 * len(text), 9, np.int16), 16_000)
        with (place / f"{speaker}-{chapter}.trans.txt").open("a") as transcript:
            transcript.write(f"{name} {text}\n")
    return folder


def test_libri_speech_is_read_as_it_is_published(tmp_path: Path) -> None:
    utterances = read_utterances(libri_speech(tmp_path / "test-clean"))
    assert {utterance.id: utterance.text for utterance in utterances} == TEXTS
    assert utterances[0] == Utterance(
        "84-121-0000", tmp_path / "test-clean" / "84" / "121" / "84-121-0000.flac", "A RED CAT"
    )


def test_a_manifest_finds_sounds_beside_it(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("clips/1.wav\ta red cat\n/far/2.wav\ttwo dogs\n")
    assert read_utterances(tmp_path / "a.tsv") == [
        Utterance("00000", tmp_path / "clips" / "1.wav", "a red cat"),
        Utterance("00001", Path("/far/2.wav"), "two dogs"),
    ]


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file \*\.trans\.txt(.|\n)*84|1089-134686"):
        read_utterances(tmp_path)
    (libri_speech(tmp_path) / "85" / "7" / "85-7-0000.flac").unlink()
    with pytest.raises(DataError, match=r"no sound file 85-7-0000 .*\.flac, \.wav"):
        read_utterances(tmp_path)


def test_the_model_is_given_the_recording_and_judged_by_its_text(tmp_path: Path) -> None:
    utterances = read_utterances(libri_speech(tmp_path / "data"))
    answerer = ScriptedAnswerer(lambda question: Answer(question.id, text=" A red bat. "))
    log = AnswerLog(tmp_path / "answers.jsonl", {}, Transcribed)
    rows = list(answer_items(TASK, utterances, answerer, log))
    (part,) = answerer.asked[0].parts
    assert isinstance(part, SpeechPart)
    assert len(part.pcm) == 160 * len("A RED CAT")
    assert rows[0].heard == "A red bat."
    rate, substitutions, deletions, insertions = measure(rows, plain)
    assert (rate.name, rate.num) == ("word error rate", 3)
    assert rate.value == pytest.approx((1 + 3 + 3) / 7)
    assert substitutions.value + deletions.value + insertions.value == pytest.approx(rate.value)


def test_recordings_are_read_when_their_turn_comes(tmp_path: Path) -> None:
    utterances = [*read_utterances(libri_speech(tmp_path / "data")), Utterance("gone", tmp_path / "gone.wav", "x")]
    log = AnswerLog(tmp_path / "answers.jsonl", {}, Transcribed)
    with pytest.raises(DataError, match=r"gone\.wav"):
        list(answer_items(TASK, utterances, ScriptedAnswerer(lambda question: Answer(question.id)), log))
    assert set(log.rows) == set(TEXTS)
