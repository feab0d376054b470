import numpy as np

from omnisdk.media import Image, Speech
from omnisdk.testing.likeness import LEAST_ALIKE, apart, likeness, unlike

random = np.random.default_rng(0)
NOISE = Speech.from_pcm((3000 * random.standard_normal(12_000)).astype(np.int16), 24_000)
OTHER = Speech.from_pcm((3000 * random.standard_normal(12_000)).astype(np.int16), 24_000)
SILENCE = Speech.from_pcm(np.zeros(12_000, np.int16), 24_000)
FLAT = np.full((8, 6, 3), 100, np.uint8)


def test_pictures() -> None:
    assert apart(Image(FLAT), Image(FLAT + 3)) is None
    assert apart(Image(FLAT), Image(FLAT + 50)) == "Image 6x8, 50 of 255 apart"
    assert apart(Image(FLAT), Image(FLAT[:4])) == "Image 6x4 is no Image 6x8"


def test_recordings() -> None:
    padded = SILENCE + NOISE + SILENCE
    assert likeness(NOISE, padded) > 0.999  # a turn may begin before the speech and end after it
    assert likeness(NOISE, SILENCE) == 0.0
    assert likeness(SILENCE, SILENCE) == 1.0
    assert likeness(NOISE, NOISE + OTHER) < LEAST_ALIKE
    assert unlike(NOISE, padded) is None
    assert (unlike(NOISE, OTHER) or "").startswith("0.50 s, ")


def test_the_rate_of_samples_does_not_count() -> None:
    seconds = np.arange(16_000) / 16_000
    tone = Speech.from_pcm((5000 * np.sin(2 * np.pi * 330 * seconds**2)).astype(np.int16), 16_000)
    assert unlike(tone, tone.resampled(8_000)) is None
