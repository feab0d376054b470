"""When a spoken turn begins and ends, by its loudness alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from omnisdk.protocol.input_buffer import InputBuffer
from omnisdk.protocol.settings import ServerVad

WINDOW_MS = 20
LOUD = 500  # of 32,767


class Ears:
    """Fills a session's input buffer, and tells where a turn begins and ends in it."""

    def __init__(self, buffer: InputBuffer) -> None:
        self._buffer = buffer
        self._speaking = False
        self._quiet_ms = 0

    def hear(
        self, pcm: NDArray[np.int16], rate_hz: int, settings: ServerVad
    ) -> Iterator[tuple[Literal["began", "ended"], int]]:
        """pcm: (samples,). What changed and when, in ms of all sound of the session."""
        size = WINDOW_MS * rate_hz // 1000
        for first in range(0, len(pcm), size):
            window = pcm[first : first + size]
            self._buffer.append(window, rate_hz)
            loud = bool(np.abs(window.astype(np.int32)).max() > LOUD)
            self._quiet_ms = 0 if loud else self._quiet_ms + WINDOW_MS
            if not self._speaking:
                self._buffer.drop_before(self._buffer.ends_ms - settings.prefix_padding_ms - WINDOW_MS)
            if loud and not self._speaking:
                self._speaking = True
                yield "began", self._buffer.begins_ms
            elif self._speaking and self._quiet_ms >= settings.silence_duration_ms:
                self._speaking = False
                yield "ended", self._buffer.ends_ms
