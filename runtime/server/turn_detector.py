"""When a turn begins and ends: the probability of speech of every 32 ms, made into turns."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from omnisdk.protocol.settings import ServerVad
from runtime.codecs.speech import SAMPLE_RATE_HZ, resample

WINDOW_MS = 32
WINDOW_SAMPLES = WINDOW_MS * SAMPLE_RATE_HZ // 1000
HYSTERESIS = 0.15  # speech ends when its probability falls so far below the threshold
MIN_WINDOWS = 2  # a click is no speech

Hear = Callable[[NDArray[np.float32]], float]


@dataclass(frozen=True)
class SpeechStarted:
    """at_ms: where the turn begins, what is kept of before with it."""

    at_ms: int


@dataclass(frozen=True)
class SpeechStopped:
    """at_ms: where the turn ends, the silence behind it included."""

    at_ms: int


class TurnDetector:
    """hear: (512,) float32 at 16 kHz, one window after another -> probability that it is speech.

    begins_ms: where what it hears begins in all audio of the session.
    """

    def __init__(self, settings: ServerVad, rate_hz: int, begins_ms: int = 0, hear: Hear | None = None) -> None:
        self.settings = settings
        self.rate_hz = rate_hz
        self.speaking = False
        self._hear = hear or silero()
        self._window = np.zeros(0, np.int16)
        self._now_ms = begins_ms
        self._num_loud = 0
        self._quiet_ms = 0

    def push(self, pcm: NDArray[np.int16]) -> list[SpeechStarted | SpeechStopped]:
        """(samples,) int16 at `rate_hz`, any number of them. What changed, in order."""
        held = np.concatenate([self._window, pcm])
        size = WINDOW_MS * self.rate_hz // 1000
        whole = len(held) // size
        self._window = held[whole * size :]
        changes = (self._take(held[index * size : (index + 1) * size]) for index in range(whole))
        return [change for change in changes if change is not None]

    def end_turn(self) -> None:
        """The turn was ended by someone else."""
        self.speaking, self._num_loud, self._quiet_ms = False, 0, 0

    def _take(self, window: NDArray[np.int16]) -> SpeechStarted | SpeechStopped | None:
        samples = torch.from_numpy(window.astype(np.float32) / 32768)
        speech = self._hear(resample(samples, self.rate_hz)[:WINDOW_SAMPLES].numpy())
        self._now_ms += WINDOW_MS
        if not self.speaking:
            self._num_loud = self._num_loud + 1 if speech >= self.settings.threshold else 0
            return self._start() if self._num_loud >= MIN_WINDOWS else None
        quiet = speech < max(self.settings.threshold - HYSTERESIS, 0.01)
        self._quiet_ms = self._quiet_ms + WINDOW_MS if quiet else 0
        return self._stop() if self._quiet_ms >= self.settings.silence_duration_ms else None

    def _start(self) -> SpeechStarted:
        self.speaking, self._quiet_ms = True, 0
        return SpeechStarted(max(0, self._now_ms - MIN_WINDOWS * WINDOW_MS - self.settings.prefix_padding_ms))

    def _stop(self) -> SpeechStopped:
        self.end_turn()
        return SpeechStopped(self._now_ms)


def silero() -> Hear:
    """Silero's detector, which is in its own package; each has a memory of its own. Takes a tenth of a second."""
    threads = torch.get_num_threads()
    from silero_vad import load_silero_vad  # late: it sets how many threads torch takes

    torch.set_num_threads(threads)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the way its file is loaded
        model = load_silero_vad()

    @torch.inference_mode()
    def hear(window: NDArray[np.float32]) -> float:
        return float(model(torch.from_numpy(window), SAMPLE_RATE_HZ))

    return hear
