"""Whether somebody speaks, told by loudness alone: for as long as no server hears it."""

from __future__ import annotations

from collections import deque

import numpy as np

from omnisdk.audio_file import Pcm

WINDOW_S = 0.02
LEAST = 300.0  # of 32,767: quieter than this nobody speaks into a microphone
TIMES_THE_ROOM = 4.0  # speech is so much louder than the quietest of the last seconds
REMEMBERED = 100  # windows
ENOUGH = 8  # windows of the last 12 that are loud
OF = 12


class Loudness:
    """Fed with a microphone, in order."""

    def __init__(self) -> None:
        self._left = np.zeros(0, np.int16)
        self._levels: deque[float] = deque(maxlen=REMEMBERED)
        self._loud: deque[bool] = deque(maxlen=OF)

    def speaks(self, pcm: Pcm, rate_hz: int) -> bool:
        """Whether somebody speaks in (samples,) of this or as it ends: 0.16 s of the last 0.24 s are loud."""
        size = round(WINDOW_S * rate_hz)
        pcm = np.concatenate([self._left, pcm])
        self._left = pcm[len(pcm) // size * size :]
        windows = pcm[: len(pcm) // size * size].reshape(-1, size).astype(np.float64)
        heard = [self._is_speech(float(level)) for level in np.sqrt((windows**2).mean(axis=1))]
        return any(heard)

    def _is_speech(self, level: float) -> bool:
        self._levels.append(level)
        self._loud.append(level > max(LEAST, TIMES_THE_ROOM * min(self._levels)))
        return sum(self._loud) >= ENOUGH
