import wave
from pathlib import Path

import numpy as np
import pytest

from omnisdk.errors import MediaError
from omnisdk.media import ResamplingStream, Speech
from omnisdk.protocol.limits import MAX_SPEECH_S


def tone(seconds: float, rate: int = 16000, hz: float = 440.0) -> np.ndarray:
    return (np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate) * 12000).astype(np.int16)


def test_array_and_its_facts() -> None:
    speech = Speech(tone(0.5), sample_rate_hz=16000)
    assert speech.duration_s == 0.5
    assert speech.pcm.dtype == np.int16
    assert not speech.pcm.flags.writeable
    assert "0.50 s" in str(speech)
    assert "<audio" in speech._repr_html_()


def test_float_stereo_array_is_mixed_down() -> None:
    stereo = np.stack([np.full(1600, 0.5), np.full(1600, -0.25)], axis=1)
    assert np.allclose(Speech(stereo, sample_rate_hz=16000).pcm, 0.125 * 32767, atol=1)


def test_int16_array_is_kept_exactly() -> None:
    samples = tone(0.1)
    assert np.array_equal(Speech(samples, sample_rate_hz=16000).pcm, samples)
    samples[:] = 0
    assert Speech.from_pcm(tone(0.1).tobytes(), 16000) == Speech(tone(0.1), sample_rate_hz=16000)


def test_does_not_change_with_the_array_it_was_made_of() -> None:
    samples = tone(0.1)
    speech = Speech(samples, sample_rate_hz=16000)
    samples[:] = 0
    assert speech.pcm.any()


def test_saved_wav_opens_again(tmp_path: Path) -> None:
    speech = Speech(tone(0.3), sample_rate_hz=22050)
    assert Speech(speech.save(tmp_path / "a.wav")) == speech


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3", ".m4a"])
def test_saved_in_another_form_it_opens_again(suffix: str, tmp_path: Path) -> None:
    speech = Speech(tone(0.5, 48000), sample_rate_hz=48000)
    again = Speech(speech.save(tmp_path / f"a{suffix}"))
    assert again.duration_s == pytest.approx(0.5, abs=0.1)
    assert (again == speech) == (suffix == ".flac")


def test_saving_under_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"cannot be saved as \.txt; use one of \.wav, \.flac, \.mp3, "):
        Speech(tone(0.3), sample_rate_hz=16000).save(tmp_path / "a.txt")


def test_cut_in_seconds_and_joined() -> None:
    speech = Speech(tone(1.0), sample_rate_hz=16000, transcript="one")
    assert np.array_equal(speech[0.25:0.75].pcm, speech.pcm[4000:12000])
    assert np.array_equal(speech[-0.5:].pcm, speech.pcm[8000:])
    assert speech[:-0.25].duration_s == 0.75
    both = speech + Speech(tone(0.5, 24000), sample_rate_hz=24000, transcript="two")
    assert (both.duration_s, both.sample_rate_hz, both.transcript) == (1.5, 16000, "one two")


@pytest.mark.parametrize("part", [slice(0, 1, 0.1), 0.5, slice(0.7, 0.2), slice(-0.5, 0.2)])
def test_parts_that_are_none(part: object) -> None:
    with pytest.raises(MediaError, match=r"came; speech is cut in seconds|is empty; give"):
        Speech(tone(1.0), sample_rate_hz=16000)[part]  # type: ignore[index]


def test_too_long_together() -> None:
    half = Speech(tone(20.0, 8000), sample_rate_hz=8000)
    with pytest.raises(MediaError, match=r"is 40\.0 s long"):
        half + half


@pytest.mark.parametrize(("from_hz", "to_hz"), [(16000, 24000), (44100, 24000), (48000, 16000), (8000, 24000)])
def test_resampling_keeps_a_tone(from_hz: int, to_hz: int) -> None:
    resampled = Speech(tone(0.5, from_hz), sample_rate_hz=from_hz).resampled(to_hz)
    assert resampled.duration_s == pytest.approx(0.5, abs=1e-4)
    inner = slice(to_hz // 20, -to_hz // 20)
    error = resampled.pcm[inner].astype(float) - tone(0.5, to_hz)[: len(resampled.pcm)][inner]
    assert np.abs(error).max() < 12000 * 0.01


def test_resampling_down_removes_what_the_rate_cannot_hold() -> None:
    high = Speech(tone(0.5, 48000, hz=11000), sample_rate_hz=48000).resampled(16000)
    assert np.abs(high.pcm[800:-800]).max() < 120  # 40 dB under the tone


@pytest.mark.parametrize("chunk", [1, 7, 480, 5000])
def test_resampling_in_chunks_is_the_same_as_at_once(chunk: int) -> None:
    whole = Speech(tone(0.1, 44100), sample_rate_hz=44100)
    stream = ResamplingStream(44100, 24000)
    pieces = [stream.feed(whole.pcm[first : first + chunk]) for first in range(0, len(whole.pcm), chunk)]
    assert np.array_equal(np.concatenate([*pieces, stream.flush()]), whole.resampled(24000).pcm)


def test_slice() -> None:
    speech = Speech(np.arange(16000, dtype=np.int16), sample_rate_hz=16000)
    assert np.array_equal(speech.slice(0.25, 0.5).pcm, np.arange(4000, 8000))
    assert speech.slice(0.75).duration_s == 0.25
    with pytest.raises(MediaError, match=r"part from 0.5 s to 0.2 s is empty"):
        speech.slice(0.5, 0.2)
    with pytest.raises(MediaError, match=r"ends at 1\.00 s, before start_s=2"):
        speech.slice(2)


def test_half_an_hour_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 8000 * 1800))
    with pytest.raises(MediaError, match=r"30\.0 minutes long; speech may be 30 s; .*start_s=0, end_s=30"):
        Speech(path)
    assert Speech(path, start_s=1700, end_s=1730).duration_s == MAX_SPEECH_S


def test_no_samples() -> None:
    with pytest.raises(MediaError, match=r"0.000 s of audio"):
        Speech(np.zeros(0, np.int16), sample_rate_hz=16000)


@pytest.mark.parametrize(
    ("array", "rate", "problem"),
    [
        (np.zeros(1600, np.int16), None, "needs its rate"),
        (np.zeros(1600, np.int32), 16000, "int32; give int16 or float"),
        (np.full(1600, np.nan), 16000, "NaN"),
        (np.zeros((2, 2, 400)), 16000, r"shape \(2, 2, 400\)"),
    ],
)
def test_arrays_that_are_no_speech(array: np.ndarray, rate: int | None, problem: str) -> None:
    with pytest.raises(MediaError, match=problem):
        Speech(array, sample_rate_hz=rate)


def test_no_player(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MediaError, match=r"no player found .* save it instead"):
        Speech(tone(0.1), sample_rate_hz=16000).play()


def test_what_a_model_says_may_be_of_any_length() -> None:
    long = Speech.said(np.zeros(16_000 * 40, np.int16), 16_000, "hm")
    assert (long.duration_s, long.transcript) == (40.0, "hm")
    assert long.resampled(24_000).duration_s == pytest.approx(40.0)
    assert long.resampled(24_000).transcript == "hm"
    assert not long.pcm.flags.writeable
    assert Speech.said(np.zeros(3, np.int16), 24_000).duration_s < 0.1
    with pytest.raises(MediaError, match="speech may be 30 s"):
        Speech(long.pcm, sample_rate_hz=16_000)


def test_the_same_speech_with_other_words() -> None:
    speech = Speech(np.full(4800, 0.1), sample_rate_hz=24_000, transcript="a")
    assert speech.with_transcript("b") == Speech(speech.pcm, sample_rate_hz=24_000, transcript="b")
