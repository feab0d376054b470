"""What a client says, until a turn is made of it. Times are those of all audio that came in the session."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError


class InputBuffer:
    """max_seconds: the longest turn."""

    def __init__(self, max_seconds: float) -> None:
        self.rate_hz: int = limits.WIRE_SAMPLE_RATE_HZ
        self._max_seconds = max_seconds
        self._chunks: list[NDArray[np.int16]] = []
        self._dropped_s = 0.0  # of what came, no longer held
        self._overflowed = False  # told once; what still comes of that turn is dropped

    @property
    def seconds(self) -> float:
        return sum(map(len, self._chunks)) / self.rate_hz

    @property
    def begins_ms(self) -> int:
        """When the first sample it holds came."""
        return round(self._dropped_s * 1000)

    @property
    def ends_ms(self) -> int:
        return round((self._dropped_s + self.seconds) * 1000)

    def append(self, pcm: NDArray[np.int16], rate_hz: int) -> bool:
        """(samples,) int16 to the end. False if they were dropped, as the rest of a turn that was too long.

        Raises ProtocolError, once, when the turn becomes too long, or holds sound of another rate.
        """
        if self._overflowed:
            return False
        if rate_hz != self.rate_hz:
            self._change_rate(rate_hz)
        try:
            check_length(self.seconds + len(pcm) / rate_hz, self._max_seconds, "audio")
        except ProtocolError:
            self._overflowed = True
            raise
        self._chunks.append(pcm)
        return True

    def _change_rate(self, rate_hz: int) -> None:
        if self._chunks:
            raise ProtocolError(
                f"audio at {rate_hz} Hz came, and the buffer holds audio at {self.rate_hz} Hz; commit or clear it "
                "before you send another format",
                code=errors.INVALID_VALUE,
                param="audio",
            )
        self.rate_hz = rate_hz

    def drop_before(self, time_ms: int) -> None:
        """Keep what came from `time_ms` on."""
        held = self._joined()
        count = min(max(0, round(time_ms / 1000 * self.rate_hz) - round(self._dropped_s * self.rate_hz)), len(held))
        self._dropped_s += count / self.rate_hz
        self._chunks = [held[count:]] if count < len(held) else []

    def take(self, until_ms: int | None = None) -> NDArray[np.int16]:
        """Empty it, or what came before `until_ms` of it. Raises ProtocolError if that is too little for a turn."""
        held = self._joined()
        stop = len(held) if until_ms is None else round((until_ms / 1000 - self._dropped_s) * self.rate_hz)
        taken = held[: max(0, stop)]
        if len(taken) * 1000 < self.rate_hz * limits.MIN_SPEECH_MS:
            raise ProtocolError(
                f"the input audio buffer holds {len(taken) / self.rate_hz * 1000:.0f} ms of audio; a turn takes at "
                f"least {limits.MIN_SPEECH_MS} ms; append more before you commit",
                code=errors.AUDIO_COMMIT_EMPTY,
            )
        rest = held[len(taken) :]
        self._dropped_s += len(taken) / self.rate_hz
        self._chunks = [rest] if len(rest) else []
        self._overflowed = False
        return taken

    def take_all(self) -> NDArray[np.int16]:
        """Empty it, however little it holds: silence fills up what a turn takes at least."""
        held = self._joined()
        self.clear()
        return np.concatenate(
            [held, np.zeros(max(0, self.rate_hz * limits.MIN_SPEECH_MS // 1000 - len(held)), np.int16)]
        )

    def clear(self) -> None:
        self._dropped_s += self.seconds
        self._chunks.clear()
        self._overflowed = False

    def _joined(self) -> NDArray[np.int16]:
        return np.concatenate([*self._chunks, np.zeros(0, np.int16)])


def check_length(seconds: float, max_seconds: float, param: str) -> None:
    """Raises ProtocolError for a turn that is longer than the model takes."""
    if seconds > max_seconds:
        raise ProtocolError(
            f"{seconds:.1f} s of audio came; a turn takes at most {max_seconds:g} s; "
            "commit what is there, or clear the buffer and send a shorter recording",
            code=errors.AUDIO_TOO_LONG,
            param=param,
        )
