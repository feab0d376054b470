"""A microphone and a speaker that do what a test says."""

import asyncio
import math
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


class FakeSpeaker:
    """Everything is heard at once, up to `hears_s` seconds in all."""

    def __init__(self, hears_s: float = math.inf) -> None:
        self.hears_s = hears_s
        self.given_s = 0.0
        self.stops = 0
        self.closed = False

    @property
    def heard_s(self) -> float:
        return min(self.given_s, self.hears_s)

    def play(self, pcm: Pcm) -> None:
        self.given_s += len(pcm) / RATE_HZ

    def stop(self) -> None:
        self.stops += 1
        self.given_s = self.heard_s

    async def finished(self) -> None:
        while self.given_s > self.heard_s:  # noqa: ASYNC110 - a device is asked, it does not tell
            await asyncio.sleep(0.005)

    def close(self) -> None:
        self.closed = True
