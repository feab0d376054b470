import re
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from runtime.training.data.speech import (
    HELD_OUT_VOICES,
    PARTS,
    FliteVoices,
    Line,
    Part,
    Speech,
    Utterance,
    char_spans,
    lines_of,
    load_utterances,
    make_part,
    open_synthesizer,
    plain_text,
    shard_path,
    to_pcm16k,
    word_spans,
    write_shard,
)
from runtime.training.world import BACKGROUNDS, NUMBERS, THINGS, Layout, Scene, plural

SMALL = Part("train-small", "train", "hibari", ("heart", "other"), shards=2, shard_size=5)


class ToneVoice:
    """Says every line as a tone whose length tells how many words there were."""

    def __init__(self) -> None:
        self.said: list[Line] = []

    def speak(self, line: Line) -> Speech:
        self.said.append(line)
        words = len(line.text.split())
        samples = np.sin(np.arange(words * 2400) / 9) / 2
        return Speech(samples.astype(np.float32), 24_000, tuple((i * 0.1, i * 0.1 + 0.08) for i in range(words)))


def scene_of_request(text: str) -> Scene | None:
    """Read a request back into its scene, without the code that wrote it; None when it is something else."""
    request = re.fullmatch(r"(?:please draw |draw |show me |paint )?(.+) on an? (\w+) background", text)
    if request is None:
        return None
    noun, background = request.groups()
    pair = re.fullmatch(r"(.+) (to the left of|to the right of|above|below) (.+)", noun)
    if pair is not None:
        layout: Layout = "stacked" if pair[2] in ("above", "below") else "beside"
        return Scene(layout, (singular(pair[1]), singular(pair[3])), background)
    number, _, many = noun.partition(" ")
    if number in NUMBERS:
        (thing,) = (name for name in THINGS if plural(name) == many)
        return Scene("count", (thing,) * NUMBERS.index(number), background)
    return Scene("single", (singular(noun),), background)


def singular(noun: str) -> str:
    thing = re.sub(r"^an? ", "", noun)
    assert thing in THINGS
    return thing


def test_training_never_asks_for_a_held_out_scene_and_tests_always_do() -> None:
    for part in PARTS:
        texts = {line.text for shard in range(part.shards) for line in lines_of(part, shard)}
        scenes = [scene for scene in map(scene_of_request, texts) if scene is not None]
        assert len(scenes) > len(texts) / 2, part.name
        assert all(scene.background in BACKGROUNDS for scene in scenes)
        assert {scene.held_out for scene in scenes} == {part.split != "train"}, part.name


def test_held_out_voices_speak_in_their_own_test_only() -> None:
    for part in PARTS:
        voices = {line.voice for shard in range(part.shards) for line in lines_of(part, shard)}
        if part.split == "test_held_out_voices":
            assert voices == set(HELD_OUT_VOICES)
        else:
            assert voices.isdisjoint(HELD_OUT_VOICES)


def test_lines_are_the_same_every_time_and_differ_between_shards() -> None:
    part = next(part for part in PARTS if part.shards > 1)
    assert lines_of(part, 1) == lines_of(part, 1)
    assert lines_of(part, 0) != lines_of(part, 1)


def test_test_texts_are_spoken_at_normal_speed_and_only_once() -> None:
    for part in (part for part in PARTS if part.split != "train"):
        lines = lines_of(part, 0)
        assert len({line.text for line in lines}) == len(lines) == part.shard_size
        assert {line.speed for line in lines} == {1.0}


def test_plain_text_keeps_words_only() -> None:
    assert plain_text("What is to the LEFT of the palm tree?") == "what is to the left of the palm tree"


def test_word_spans_follow_durations_and_skip_blanks_and_marks() -> None:
    # silence, a b, blank, c, ?, silence
    assert word_spans("ab c", "ab c?", [10, 5, 5, 2, 8, 4, 6], 4.0) == ((1.0, 2.0), (2.2, 3.0))


def test_word_spans_are_unknown_when_words_do_not_match() -> None:
    assert word_spans("palm tree", "pamtri", [1] * 8, 1.0) is None


def test_word_spans_refuse_a_wrong_number_of_durations() -> None:
    with pytest.raises(ValueError, match="3 phonemes need 5 durations, got 4"):
        word_spans("dog", "dog", [1] * 4, 1.0)


def test_char_spans_cover_every_character_without_a_gap() -> None:
    spans = char_spans("an owl", ((0.5, 0.7), (1.0, 1.6)))
    assert [index for index, *_ in spans] == list(range(6))
    assert spans[0][1] == 0.5 and spans[-1][2] == pytest.approx(1.6)
    assert spans[4][1:] == pytest.approx((1.2, 1.4))
    assert all(before[2] == pytest.approx(after[1]) for before, after in pairwise(spans))
    with pytest.raises(ValueError, match="2 words, but 1 word spans"):
        char_spans("an owl", ((0.5, 0.7),))


def test_pcm_keeps_pitch_and_clips() -> None:
    seconds = np.arange(24_000, dtype=np.float32) / 24_000
    pcm = to_pcm16k(2 * np.sin(2 * np.pi * 440 * seconds).astype(np.float32), 24_000)
    assert pcm.dtype == np.int16 and pcm.shape == (16_000,)
    assert pcm.max() == 32767 and pcm.min() == -32767
    assert np.abs(np.fft.rfft(pcm)).argmax() == 440
    with pytest.raises(ValueError, match="8000 Hz came"):
        to_pcm16k(np.zeros(8, np.float32), 8000)


def test_a_part_is_made_once_and_loaded_in_order(tmp_path: Path) -> None:
    voice = ToneVoice()
    assert make_part(SMALL, tmp_path, lambda *_: voice) == 2
    shard_path(tmp_path, SMALL, 0).unlink()  # as if it had been stopped before this shard was whole
    assert make_part(SMALL, tmp_path, lambda *_: voice) == 1
    assert voice.said == lines_of(SMALL, 0) + lines_of(SMALL, 1) + lines_of(SMALL, 0)

    loaded = load_utterances("train", tmp_path)
    lines = lines_of(SMALL, 0) + lines_of(SMALL, 1)
    assert [(u.text, u.voice) for u in loaded] == [(line.text, f"hibari/{line.voice}") for line in lines]
    for utterance in loaded:
        words = len(utterance.text.split())
        assert utterance.pcm.shape == (words * 1600,) and utterance.pcm.dtype == np.int16
        assert utterance.word_spans is not None and len(utterance.word_spans) == words


def test_part_of_a_program_that_is_not_there_is_skipped_with_a_notice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert make_part(SMALL, tmp_path, lambda *_: None) == 0
    assert "skipped" in capsys.readouterr().out
    with pytest.raises(FileNotFoundError, match=r"python -m runtime\.training\.data\.speech"):
        load_utterances("train", tmp_path)


def test_unknown_word_spans_survive_storing(tmp_path: Path) -> None:
    pcm = np.array([1, -2, 3], np.int16)
    write_shard(tmp_path / "speech/train/x-000.json", [Utterance("dog", "flite/slt", pcm, None)])
    (stored,) = load_utterances("train", tmp_path)
    assert stored.word_spans is None
    np.testing.assert_array_equal(stored.pcm, pcm)


def test_flite_is_given_voice_and_speed_and_its_failure_is_told(tmp_path: Path) -> None:
    recording = tmp_path / "tone.wav"
    with wave.open(str(recording), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.array([0, 16384, -16384], "<i2").tobytes())
    program = tmp_path / "flite"
    program.write_text(
        "#!/bin/sh\n"
        'while [ $# -gt 0 ]; do case "$1" in -voice) v=$2;; --setf) s=$2;; -o) o=$2;; esac; shift; done\n'
        f'[ "$v $s" = "slt duration_stretch=1.250" ] || {{ echo "no voice $v at $s" >&2; exit 1; }}\n'
        f'cp {recording} "$o"\n'
    )
    program.chmod(0o755)
    speech = FliteVoices(str(program)).speak(Line("a dog.", "slt", 0.8))
    assert speech.sample_rate == 16_000 and speech.samples.tolist() == [0, 0.5, -0.5]
    with pytest.raises(RuntimeError, match=r"could not say 'a dog\.' as nobody: no voice nobody"):
        FliteVoices(str(program)).speak(Line("a dog.", "nobody", 0.8))


def test_hibari_is_heard_exactly_where_its_words_are(tmp_path: Path) -> None:
    pytest.importorskip("hibari", reason="needs the packages of the train extra")
    voice = open_synthesizer("hibari", tmp_path)
    assert voice is not None
    normal, fast = (voice.speak(Line("a dog to the left of a palm tree.", "heart", speed)) for speed in (1.0, 1.2))
    assert len(fast.samples) < len(normal.samples)
    for speech in (normal, fast):
        assert speech.word_spans is not None and len(speech.word_spans) == 9
        starts, ends = ([round(span[edge] * speech.sample_rate) for span in speech.word_spans] for edge in (0, 1))
        loudness = [np.abs(speech.samples[a:b]).mean() for a, b in zip(starts, ends, strict=True)]
        silence = max(np.abs(speech.samples[: starts[0] // 2]).mean(), np.abs(speech.samples[ends[-1] + 2400 :]).mean())
        assert min(loudness) > 4 * silence
