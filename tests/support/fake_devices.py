"""A microphone that does what a test says; a speaker is in omnisdk.testing."""

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np

from omnisdk.audio_file import Pcm

RATE_HZ = 24_000
TALK = (8000 * np.sin(np.arange(int(0.4 * RATE_HZ)) * 0.1)).astype(np.int16)
QUIET = np.zeros(int(0.7 * RATE_HZ), np.int16)


async def microphone(*acts: Pcm | Callable[[], bool]) -> AsyncIterator[Pcm]:
    """Sound as it is; silence, in real time, until a condition holds."""
    for act in acts:
        if callable(act):
            while not act():
                yield np.zeros(480, np.int16)
                await asyncio.sleep(0.01)
        else:
            yield act
