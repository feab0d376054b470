"""A speaker that is none, for voice assistants that are tested, or run where there is no sound."""

from __future__ import annotations

import asyncio
import math

import numpy as np

from omnisdk.audio_file import Pcm
from omnisdk.media import Speech
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ


class FakeSpeaker:
    """Everything is heard at once, up to `hears_s` seconds in all; more may be heard when that is made greater.

    given_s: seconds that were said and not taken back. stops: how often it was silenced. speech: all that was heard.
    """

    def __init__(self, hears_s: float = math.inf) -> None:
        self.hears_s: float = hears_s
        self.given_s: float = 0.0
        self.stops: int = 0
        self.closed: bool = False
        self._given: Pcm = np.zeros(0, np.int16)

    @property
    def speech(self) -> Speech:
        """At 24 kHz: `speaker.speech.save("answers.wav")`."""
        return Speech.said(self._given[: round(self.heard_s * WIRE_SAMPLE_RATE_HZ)], WIRE_SAMPLE_RATE_HZ)

    @property
    def heard_s(self) -> float:
        return min(self.given_s, self.hears_s)

    def play(self, pcm: Pcm) -> None:
        self._given = np.concatenate([self._given, pcm])
        self.given_s += len(pcm) / WIRE_SAMPLE_RATE_HZ

    def stop(self) -> None:
        self.stops += 1
        self._given = self._given[: round(self.heard_s * WIRE_SAMPLE_RATE_HZ)]
        self.given_s = self.heard_s

    async def finished(self) -> None:
        while self.given_s > self.heard_s:  # noqa: ASYNC110 - a device is asked, it does not tell
            await asyncio.sleep(0.005)

    def close(self) -> None:
        self.closed = True
