from pathlib import Path

import numpy as np
import pytest

from runtime.training.data import voice
from runtime.training.data.fetch import CHATTERBOT
from runtime.training.data.speech import Line, Said
from runtime.training.data.voice import (
    SHARD_SIZE,
    load_sentences,
    make_shard,
    plain_phrases,
    read_shard,
    sentences_to_say,
    shard_path,
    single_words,
    small_talk_lines,
)
from runtime.training.outside import SMALL_TALK, UNKNOWN
from runtime.training.world import THINGS

PHRASES = """
categories: [small talk]
conversations:
- - Good morning, how are you?
  - I am doing well. It is 7 o'clock!
- - What is your name?
  - {number} sentences of this one are made
"""


class ToneVoice:
    """Says every line as a tone; two frames of 25 ms a letter."""

    def say(self, line: Line) -> Said:
        samples = np.sin(np.arange(600 * (2 * len(line.text) + 2)) / 9).astype(np.float32) / 2
        frames = (1, *[2] * len(line.text), 1)
        spans = tuple((i * 0.1, i * 0.1 + 0.08) for i in range(len(line.text.split())))
        return Said(samples, np.full(len(samples) // 300, 200, np.float32), line.text, frames, spans)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "packages" / CHATTERBOT.folder_name / "chatterbot_corpus/data/english"
    folder.mkdir(parents=True)
    numbers = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    for name, number in zip(voice.CONVERSATIONS, numbers * 2, strict=False):
        (folder / f"{name}.yml").write_text(PHRASES.replace("{number}", number))
    monkeypatch.setattr(voice, "SHARDS", {"train": 2, "test": 1})
    monkeypatch.setattr(voice, "SHARD_SIZE", 30)
    monkeypatch.setattr(voice, "TEST_SIZE", 8)
    return tmp_path


def test_plain_phrases_are_words_alone_and_tests_have_their_own(cache: Path) -> None:
    train, test = plain_phrases(cache, "train"), plain_phrases(cache, "test")
    assert not set(train) & set(test)
    both = {*train, *test}
    assert {"Good morning", "how are you?", "What is your name?"} <= both
    assert "It is 7 o'clock!" not in both
    assert test == plain_phrases(cache, "test")


def test_what_is_said_never_changes_and_holds_every_single_word(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setattr(voice, "SHARD_SIZE", SHARD_SIZE)
    said = sentences_to_say(cache, "train")
    assert said == sentences_to_say(cache, "train")
    assert set(single_words()) <= set(said)
    assert set(THINGS) <= set(single_words())
    assert len(set(said[:SHARD_SIZE])) == SHARD_SIZE
    assert said[SHARD_SIZE:] == small_talk_lines()


def test_every_answer_outside_the_world_is_said() -> None:
    said = {voice.plain_text(line) for line in small_talk_lines()}
    assert {UNKNOWN, *SMALL_TALK} <= said


def test_a_shard_is_read_as_it_was_made(cache: Path) -> None:
    make_shard(cache, "test", 0, ToneVoice())  # type: ignore[arg-type]
    sentences = read_shard(shard_path(cache, "test", 0))
    assert [s.text for s in sentences] == [voice.plain_text(text) for text in sentences_to_say(cache, "test")]
    for sentence in sentences:
        assert len(sentence.frames) == len(sentence.phonemes) + 2
        assert len(sentence.pcm) == 600 * sum(sentence.frames)
        assert len(sentence.f0) == len(sentence.pcm) // 300
        assert sentence.word_spans is not None
        assert len(sentence.word_spans) == len(sentence.text.split())
    plain = set(plain_phrases(cache, "test"))
    assert [s.plain for s in sentences] == [text in plain for text in sentences_to_say(cache, "test")]


def test_sentences_that_are_not_made_yet_are_asked_for(cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"runtime\.training\.data\.voice"):
        load_sentences("train", cache)
