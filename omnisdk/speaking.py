"""Speech on its way to the server, chunk by chunk."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

import numpy as np

from omnisdk.audio_file import Pcm
from omnisdk.errors import MediaError
from omnisdk.media import ResamplingStream, Speech
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ


class SpeakingLink(Protocol):
    """What speaking needs of the session it belongs to."""

    @property
    def max_speech_s(self) -> float | None: ...
    def interrupt(self) -> None: ...
    def post_audio(self, pcm: Pcm) -> None: ...
    def clear_speech(self) -> None: ...
    async def commit_speech(self, speech: Speech) -> None: ...
    async def room(self) -> None: ...


class Speaking:
    """Speech on its way to the server: `async with session.speak() as mic: await mic.send(chunk)`.

    Leaving the block normally ends the turn; leaving it by an exception takes back what was said.
    """

    def __init__(self, link: SpeakingLink, sample_rate_hz: int) -> None:
        self._link = link
        self._sample_rate_hz = sample_rate_hz
        self._stream = ResamplingStream(sample_rate_hz, WIRE_SAMPLE_RATE_HZ)
        self._sent: list[Pcm] = []

    @property
    def duration_s(self) -> float:
        """How much was said."""
        return sum(len(pcm) for pcm in self._sent) / WIRE_SAMPLE_RATE_HZ

    async def __aenter__(self) -> Speaking:
        self._link.interrupt()
        return self

    async def send(self, chunk: bytes | Pcm | Speech) -> None:
        """16-bit mono PCM at the rate of `speak`, or Speech at any rate. Raises MediaError beyond the limit."""
        if isinstance(chunk, Speech):
            pcm = chunk.resampled(WIRE_SAMPLE_RATE_HZ).pcm
        else:
            pcm = self._stream.feed(samples_of(chunk))
        await self._pass_on(pcm)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._link.clear_speech()
            return
        await self._pass_on(self._stream.flush())
        try:
            spoken = Speech.from_pcm(np.concatenate([*self._sent, np.zeros(0, np.int16)]), WIRE_SAMPLE_RATE_HZ)
        except MediaError:
            self._link.clear_speech()
            raise MediaError(
                f"only {self.duration_s:.3f} s were spoken; send speech before leaving the block"
            ) from None
        await self._link.commit_speech(spoken)

    async def _pass_on(self, pcm: Pcm) -> None:
        limit = self._link.max_speech_s
        seconds = self.duration_s + len(pcm) / WIRE_SAMPLE_RATE_HZ
        if limit is not None and seconds > limit:
            self._link.clear_speech()
            raise MediaError(
                f"{seconds:.1f} s of speech; this server takes {limit:g} s in a turn; say it in fewer words"
            )
        self._sent.append(pcm)
        self._link.post_audio(pcm)
        await self._link.room()


def samples_of(chunk: bytes | Pcm) -> Pcm:
    """16-bit mono PCM as samples. Raises MediaError."""
    if isinstance(chunk, bytes | bytearray):
        if len(chunk) % 2:
            raise MediaError(f"a chunk of {len(chunk)} bytes is no 16-bit PCM; send whole samples of two bytes")
        return np.frombuffer(chunk, "<i2").astype(np.int16)
    if not isinstance(chunk, np.ndarray):
        raise MediaError(f"a chunk of {type(chunk).__name__} came; send Speech, bytes or an int16 array of 16-bit PCM")
    if chunk.dtype != np.int16 or chunk.ndim != 1:
        raise MediaError(f"a chunk of {chunk.dtype} and shape {chunk.shape} is no PCM; send int16 of (num_samples,)")
    return chunk
