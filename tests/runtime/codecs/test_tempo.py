import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.codecs.tempo import Tempo

RATE_HZ = 22_050
SPOKEN = Path(__file__).parents[3] / "clients" / "terminal" / "request.wav"


def tone(seconds: float, hz: float = 220.0) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.int16)


def said(pcm: np.ndarray, speed: float, piece: int = 4_000, rate_hz: int = RATE_HZ) -> np.ndarray:
    tempo = Tempo(speed, rate_hz)
    pieces = [tempo.push(pcm[first : first + piece]) for first in range(0, len(pcm), piece)]
    return np.concatenate([*pieces, tempo.end()])


def pitch_hz(pcm: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm))))
    return float(np.argmax(spectrum)) * rate_hz / len(pcm)


@pytest.mark.parametrize("speed", [0.25, 0.7, 1.3, 1.5])
def test_the_length_changes_and_the_pitch_does_not(speed: float) -> None:
    slow = said(tone(1.0), speed)
    assert len(slow) == round(RATE_HZ / speed)
    assert pitch_hz(slow, RATE_HZ) == pytest.approx(220, abs=4)
    inside = slow[1000:-3000].astype(float)
    assert np.sqrt((inside**2).mean()) == pytest.approx(8000 / np.sqrt(2), rel=0.03)  # no beats where frames meet


@given(
    seconds=st.floats(0, 0.4),
    speed=st.floats(0.25, 1.5),
    piece=st.integers(1, 9_000),
    rate_hz=st.sampled_from([8_000, 24_000]),
)
def test_however_it_is_cut_it_is_as_long_as_it_should_be_and_the_same(
    seconds: float, speed: float, piece: int, rate_hz: int
) -> None:
    pcm = tone(seconds)
    cut = said(pcm, speed, max(piece, len(pcm) // 50 + 1), rate_hz)
    assert len(cut) == round(len(pcm) / speed)
    assert np.array_equal(cut, said(pcm, speed, 10**6, rate_hz))


def test_a_voice_is_as_loud_as_before() -> None:
    with wave.open(str(SPOKEN)) as file:
        voice = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    fast = said(voice, 1.4, rate_hz=24_000)
    assert np.sqrt((fast.astype(float) ** 2).mean()) == pytest.approx(
        np.sqrt((voice.astype(float) ** 2).mean()), rel=0.1
    )
