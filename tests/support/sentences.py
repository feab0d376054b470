"""Sentences as a synthesiser that sings one tone would say them."""

import numpy as np

from runtime.training.data.voice import Sentence

FRAME_SAMPLES = 600  # 25 ms


def sung(text: str, hz: float = 200.0, plain: bool = False) -> Sentence:
    """Every letter is a phoneme of 100 ms, between two silences of 100 ms."""
    frames = tuple([4] * (len(text) + 2))
    num_samples = FRAME_SAMPLES * sum(frames)
    seconds = np.arange(num_samples) / 24_000
    loud = (seconds > 0.1) & (seconds < seconds[-1] - 0.1)
    pcm = (8000 * np.sin(2 * np.pi * hz * seconds) * loud).astype(np.int16)
    f0 = np.where(loud[::300], hz, 0).astype(np.float32)
    spans, start = [], 0.1
    for word in text.split():
        spans.append((start, start + 0.1 * len(word)))
        start += 0.1 * (len(word) + 1)
    return Sentence(text, plain, pcm, f0, text, frames, tuple(spans))
