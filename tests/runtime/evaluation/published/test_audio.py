import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from runtime.engine.request import SpeechPart
from runtime.evaluation.published.audio import read_speech, write_speech
from runtime.evaluation.published.errors import DataError

TONE = (8000 * np.sin(np.arange(4000) / 20)).astype(np.int16)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_lossless_files_come_as_they_are(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, TONE, 16_000)
    speech = read_speech(path)
    assert speech.sample_rate_hz == 16_000
    assert speech.pcm.dtype == np.int16
    np.testing.assert_array_equal(speech.pcm, TONE)


def test_mp3_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", TONE, 16_000)
    speech = read_speech(tmp_path / "a.mp3")
    assert abs(len(speech.pcm) - len(TONE)) < 3000
    assert 6000 < np.abs(speech.pcm).max() < 10_000


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([TONE, np.zeros_like(TONE)], 1), 8000)
    speech = read_speech(tmp_path / "a.wav")
    assert speech.pcm.dtype == np.int16
    assert np.abs(speech.pcm - TONE / 2).max() <= 0.5


def test_what_is_written_is_a_plain_wav(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.wav"
    write_speech(SpeechPart(TONE, 22_050), path)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (22_050, 1, 2)
        np.testing.assert_array_equal(np.frombuffer(file.readframes(file.getnframes()), np.int16), TONE)


def test_what_is_no_sound_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("not a sound")
    soundfile.write(tmp_path / "empty.wav", TONE[:0], 16_000)
    for name, why in (
        ("a.wav", "cannot be read as sound"),
        ("b.wav", "no such sound"),
        ("empty.wav", "no sound in it"),
    ):
        with pytest.raises(DataError, match=rf"{name}: .*{why}"):
            read_speech(tmp_path / name)
