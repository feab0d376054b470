import numpy as np
import pytest
import torch

from runtime.codecs.speech import resample
from runtime.server.duplex.resampler import Resampler


@pytest.mark.parametrize(("from_hz", "to_hz"), [(16_000, 24_000), (24_000, 24_000), (44_100, 24_000), (8_000, 24_000)])
@pytest.mark.parametrize("size", [1, 100, 3_200])
def test_pieces_are_resampled_as_the_whole(from_hz: int, to_hz: int, size: int) -> None:
    pcm = np.random.default_rng(0).integers(-20_000, 20_000, 2_000 + 7).astype(np.int16)
    resampler = Resampler(from_hz, to_hz)
    for _ in range(2):  # what follows an end stands by itself
        pieces = [resampler.push(pcm[first : first + size]) for first in range(0, len(pcm), size)]
        whole = resample(torch.from_numpy(pcm.astype(np.float32)), from_hz, to_hz).round().clamp(-32768, 32767).numpy()
        np.testing.assert_allclose(np.concatenate([*pieces, resampler.end()]), whole, atol=1)


def test_little_waits() -> None:
    assert len(Resampler(16_000, 24_000).push(np.zeros(1_600, np.int16))) > 2_250


def test_an_end_without_sound_gives_none() -> None:
    assert len(Resampler(16_000, 24_000).end()) == 0
