"""Sound at another rate, piece by piece, as it would be resampled whole."""

import math

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.codecs.speech import resample

BESIDE = 64  # samples on either side that one depends on, more than enough


class Resampler:
    """(samples,) int16 at from_hz -> (samples,) int16 at to_hz. The newest samples wait for those that follow them."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self.from_hz, self.to_hz = from_hz, to_hz
        divisor = math.gcd(from_hz, to_hz)
        self._step_in, self._step_out = from_hz // divisor, to_hz // divisor
        self._held = np.zeros(0, np.int16)  # what was told of, as far as it is still needed, and what was not
        self._num_told = 0  # of those held

    def push(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        self._held = np.concatenate([self._held, pcm])
        return self._tell((len(self._held) - BESIDE) // self._step_in * self._step_in)

    def end(self) -> NDArray[np.int16]:
        """What waited; what comes now stands by itself."""
        told = self._tell(len(self._held))
        self._held, self._num_told = np.zeros(0, np.int16), 0
        return told

    def _tell(self, until: int) -> NDArray[np.int16]:
        """Samples held before `until`, a whole number of steps unless it is the end."""
        if until <= self._num_told:
            return np.zeros(0, np.int16)
        samples = resample(torch.from_numpy(self._held.astype(np.float32)), self.from_hz, self.to_hz)
        first, last = (math.ceil(at * self._step_out / self._step_in) for at in (self._num_told, until))
        needed = max(0, until - BESIDE) // self._step_in * self._step_in
        self._held, self._num_told = self._held[needed:], until - needed
        return samples[first:last].round().clamp(-32768, 32767).numpy().astype(np.int16)
