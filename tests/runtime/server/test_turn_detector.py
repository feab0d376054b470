import wave
from pathlib import Path

import numpy as np
import pytest

from omnisdk.protocol.settings import ServerVad
from runtime.server.turn_detector import WINDOW_MS, SpeechStarted, SpeechStopped, TurnDetector

SPOKEN = Path(__file__).parents[3] / "clients" / "terminal" / "request.wav"
RATE_HZ = 24_000


def loudness(window: np.ndarray) -> float:
    """A detector that hears speech in whatever is loud."""
    return float(np.abs(window).max() > 0.1)


def sound(*stretches: tuple[int, bool]) -> np.ndarray:
    """Stretches of (milliseconds, loud)."""
    loud = 16_000 * np.ones(RATE_HZ, np.int16)
    return np.concatenate([np.resize(loud * is_loud, ms * RATE_HZ // 1000) for ms, is_loud in stretches])


def detector(**settings: object) -> TurnDetector:
    return TurnDetector(ServerVad(**settings), RATE_HZ, hear=loudness)  # type: ignore[arg-type]


def test_a_turn() -> None:
    started, stopped = detector().push(sound((960, False), (960, True), (960, False)))
    assert isinstance(started, SpeechStarted)
    assert abs(started.at_ms - (960 - 300)) <= WINDOW_MS
    assert isinstance(stopped, SpeechStopped)
    assert abs(stopped.at_ms - (1_920 + 500)) <= 2 * WINDOW_MS


@pytest.mark.parametrize("size", [1, 100, 767, 5_000])
def test_in_pieces_of_any_size(size: int) -> None:
    said = sound((960, False), (960, True), (960, False))
    whole, split = detector().push(said), detector()
    pieces = [change for first in range(0, len(said), size) for change in split.push(said[first : first + size])]
    assert pieces == whole


def test_a_click_is_no_speech() -> None:
    assert detector().push(sound((960, False), (WINDOW_MS, True), (960, False))) == []


def test_a_breath_does_not_end_a_turn() -> None:
    said = sound((640, True), (320, False), (640, True))
    assert len(detector().push(said)) == 1
    assert len(detector(silence_duration_ms=200).push(said)) == 3


def test_the_padding_does_not_reach_before_the_beginning() -> None:
    (started,) = detector(prefix_padding_ms=2_000).push(sound((320, True)))
    assert started == SpeechStarted(0)


@pytest.mark.parametrize("rate_hz", [8_000, 24_000])
def test_silero_hears_a_real_voice_and_no_noise(rate_hz: int) -> None:
    with wave.open(str(SPOKEN)) as file:
        voice = np.frombuffer(file.readframes(file.getnframes()), "<i2")[:: RATE_HZ // rate_hz]
    quiet = np.random.default_rng(0).normal(0, 30, rate_hz).astype(np.int16)
    changes = TurnDetector(ServerVad(), rate_hz).push(np.concatenate([quiet, voice, quiet]))
    assert isinstance(changes[0], SpeechStarted)
    assert 500 <= changes[0].at_ms <= 1_200  # the recording begins with a pause of its own
    assert isinstance(changes[-1], SpeechStopped)
    noise = np.random.default_rng(1).normal(0, 3_000, 2 * rate_hz).astype(np.int16)
    assert TurnDetector(ServerVad(), rate_hz).push(noise) == []
