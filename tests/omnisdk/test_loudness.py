from pathlib import Path

import numpy as np

from omnisdk.loudness import Loudness
from omnisdk.media import Speech

RATE_HZ = 24_000
REQUEST = Speech(Path(__file__).parents[2] / "clients" / "terminal" / "request.wav")
random = np.random.default_rng(0)


def noise(level: float, seconds: float) -> np.ndarray:
    return (level * random.standard_normal(int(seconds * RATE_HZ))).astype(np.int16)


def test_speech_is_heard_in_quiet_and_above_the_sound_of_a_room() -> None:
    for level in (0, 200):
        ears = Loudness()
        assert not ears.speaks(noise(level, 1.0), RATE_HZ)
        assert ears.speaks(REQUEST.pcm, REQUEST.sample_rate_hz)


def test_what_is_no_speech() -> None:
    ears = Loudness()
    assert not ears.speaks(noise(1000, 3.0), RATE_HZ)  # as loud all the time
    assert not ears.speaks(np.concatenate([noise(20, 1.0), noise(9000, 0.1), noise(20, 1.0)]), RATE_HZ)  # a click
    assert not ears.speaks(np.zeros(0, np.int16), RATE_HZ)


def test_pieces_of_any_size_are_heard_as_one() -> None:
    ears, pieces = Loudness(), np.array_split(np.concatenate([noise(20, 0.5), noise(3000, 0.5)]), 997)
    heard = [ears.speaks(piece, RATE_HZ) for piece in pieces]
    assert 997 * 0.64 < heard.index(True) < 997 * 0.72  # 0.16 s after it began
