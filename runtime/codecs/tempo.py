"""Speech faster or slower at the same pitch, while it comes: frames are laid over each other at other distances.

Waveform-similarity overlap-add (Verhelst and Roelands, 1993): each frame is taken, near its place, from where it
goes on best from the frame before.
"""

import numpy as np
from numpy.typing import NDArray

FRAME_MS = 30
SEARCH_MS = 8  # to either side; half a period of a low voice


class Tempo:
    """speed: 2 is twice as fast. Give it the sound in order, then `end` it."""

    def __init__(self, speed: float, rate_hz: int) -> None:
        self._speed = speed
        self._hop = FRAME_MS * rate_hz // 2000  # half a frame
        self._search = SEARCH_MS * rate_hz // 1000
        rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(self._hop) + 0.5) / self._hop)
        self._rise = rise.astype(np.float32)
        self._held = np.zeros(0, np.float32)
        self._begins = 0  # where what is held begins in all that came
        self._came, self._gave, self._frames = 0, 0, 0
        self._last = 0  # where the last frame was taken
        self._tail: NDArray[np.float32] | None = None  # its second half, which the next one is laid over

    def push(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """(samples,) in, what can be said of them now out."""
        self._held = np.concatenate([self._held, pcm.astype(np.float32)])
        self._came += len(pcm)
        return self._given(self._ready())

    def end(self) -> NDArray[np.int16]:
        """The rest, so that all of it is as long as it should be."""
        whole = round(self._came / self._speed)
        # Silence behind it, as far as the last frames reach.
        self._held = np.concatenate([self._held, np.zeros(4 * self._hop + 2 * self._search, np.float32)])
        pieces = [self._given(self._ready())]
        if self._tail is not None:
            pieces.append(self._given(self._tail))
        said = np.concatenate(pieces)
        return said[: max(0, len(said) - (self._gave - whole))]

    def _ready(self) -> NDArray[np.float32]:
        pieces = [np.zeros(0, np.float32)]
        while (wanted := round(self._frames * self._hop * self._speed)) + self._reach <= self._begins + len(self._held):
            pieces.append(self._frame(wanted))
        return np.concatenate(pieces)

    @property
    def _reach(self) -> int:
        return 2 * self._hop + self._search

    def _frame(self, wanted: int) -> NDArray[np.float32]:
        """The first half of the next frame, laid over the second half of the one before."""
        start = wanted if self._tail is None else self._best(wanted)
        frame = self._held[start - self._begins :][: 2 * self._hop]
        first = frame[: self._hop]
        if self._tail is not None:
            first = first * self._rise + self._tail * self._rise[::-1]
        self._tail, self._last, self._frames = frame[self._hop :], start, self._frames + 1
        self._forget(min(start + self._hop, round(self._frames * self._hop * self._speed) - self._search))
        return first

    def _best(self, wanted: int) -> int:
        """Where near `wanted` the sound is most like what came behind the last frame."""
        goes_on = self._held[self._last + self._hop - self._begins :][: self._hop]
        first = max(wanted - self._search, self._begins)
        near = self._held[first - self._begins : wanted + self._search + self._hop - self._begins]
        likeness = np.correlate(near, goes_on, "valid")
        squares = np.concatenate([[0.0], np.cumsum(near.astype(np.float64) ** 2)])
        energy = squares[self._hop :] - squares[: -self._hop]
        return first + int(np.argmax(likeness / np.sqrt(energy + 1.0)))

    def _forget(self, before: int) -> None:
        count = max(0, before - self._begins)
        self._held, self._begins = self._held[count:], self._begins + count

    def _given(self, samples: NDArray[np.float32]) -> NDArray[np.int16]:
        self._gave += len(samples)
        return samples.round().clip(-32768, 32767).astype(np.int16)
