"""A microphone on its way to a session whose server hears the turns; of what was sent, the turns can be cut."""

from __future__ import annotations

from collections import deque

import numpy as np

from omnisdk.audio_file import Pcm
from omnisdk.media import ResamplingStream, Speech
from omnisdk.protocol.limits import MAX_PREFIX_PADDING_MS, MAX_SPEECH_S, WIRE_SAMPLE_RATE_HZ
from omnisdk.session import AsyncSession
from omnisdk.speaking import samples_of

KEPT_SAMPLES = int((MAX_SPEECH_S + MAX_PREFIX_PADDING_MS / 1000 + 5) * WIRE_SAMPLE_RATE_HZ)


class Hearing:
    """Sends sound to a session and keeps the last of it; times count from the first sample of the session."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._streams: dict[int, ResamplingStream] = {}  # by rate
        self._kept: deque[Pcm] = deque()
        self._num_kept = self._num_dropped = 0
        self._cut_to_ms = 0
        self._session_number = 0

    async def send(self, chunk: bytes | Pcm | Speech) -> None:
        """Speech at any rate, or 16-bit mono PCM at 24 kHz. Raises ConnectionLost."""
        if isinstance(chunk, Speech):
            rate_hz = chunk.sample_rate_hz
            stream = self._streams.setdefault(rate_hz, ResamplingStream(rate_hz, WIRE_SAMPLE_RATE_HZ))
            pcm = stream.feed(chunk.pcm)
        else:
            pcm = samples_of(chunk)
        self._keep(pcm)
        self._session.post_audio(pcm)
        await self._session.room()

    async def settled(self) -> None:
        """Return when the server has told the turns of all that was sent. Raises ConnectionLost."""
        session_number = -1
        while session_number != self._session_number:  # what another one was told came after the question
            session_number = self._session_number
            await self._session.settled()

    def cut(self, start_ms: int, end_ms: int) -> Speech:
        """What was sent from `start_ms` to `end_ms`, as far as it is kept."""
        self._cut_to_ms = end_ms
        return Speech.said(self._all()[self._at(start_ms) : self._at(end_ms)].copy(), WIRE_SAMPLE_RATE_HZ)

    def taken(self) -> None:
        """The server has made a turn of what was last cut."""
        rest = self._all()[self._at(self._cut_to_ms) :]
        self._num_dropped += self._num_kept - len(rest)
        self._kept, self._num_kept = deque([rest]), len(rest)

    def restart(self) -> None:
        """The session began anew, and its clock with it: what no turn was made of is said again."""
        self._session_number += 1
        rest = self._all()
        self._kept, self._num_kept, self._num_dropped, self._cut_to_ms = deque([rest]), len(rest), 0, 0
        self._session.say_again(rest)

    def _all(self) -> Pcm:
        return np.concatenate([*self._kept, np.zeros(0, np.int16)])

    def _at(self, ms: int) -> int:
        """Where a time of the session is in what is kept."""
        return max(0, ms * WIRE_SAMPLE_RATE_HZ // 1000 - self._num_dropped)

    def _keep(self, pcm: Pcm) -> None:
        self._kept.append(pcm)
        self._num_kept += len(pcm)
        while self._num_kept - len(self._kept[0]) > KEPT_SAMPLES:
            dropped = len(self._kept.popleft())
            self._num_kept -= dropped
            self._num_dropped += dropped
