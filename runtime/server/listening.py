"""What a client says into the input buffer, made into turns: when it commits, or when it falls silent."""

import asyncio
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from omnisdk.protocol import events
from omnisdk.protocol.session import Committed, SessionRules
from omnisdk.protocol.settings import ServerVad
from runtime.server.outbox import Outbox
from runtime.server.turn_detector import SpeechStarted, TurnDetector

SLICE_MS = 100  # of what comes at once, heard together: a buffer never holds much more than a turn
KEPT_MS = 200  # beside the padding, of what came before speech


class Listening:
    """new_id: makes ids from a prefix. on_turn: takes a turn that was committed, told whether it is to be answered.
    on_speech: called when the user begins to speak, if that interrupts.
    """

    def __init__(
        self,
        rules: SessionRules,
        outbox: Outbox,
        new_id: Callable[[str], str],
        on_turn: Callable[[Committed, bool], None],
        on_speech: Callable[[], None],
    ) -> None:
        self._rules, self._outbox, self._new_id = rules, outbox, new_id
        self._on_turn, self._on_speech = on_turn, on_speech
        self._detector: TurnDetector | None = None
        self._item_id = ""  # of the turn that is being spoken
        self._answered_ms: int | None = None  # where the last answer ended, if nothing was said since

    async def append(self, audio: bytes) -> None:
        """Sound in the session's input format. Raises ProtocolError."""
        settings = self._rules.turn_detection
        if settings is None:
            self._detector = None
            self._rules.append_audio(audio)
            return
        pcm, rate_hz = self._rules.decode_audio(audio), self._rules.input_encoding.rate_hz
        detector = await self._ready(settings, rate_hz)
        size = SLICE_MS * rate_hz // 1000
        for first in range(0, len(pcm), size):
            await self._hear(detector, pcm[first : first + size])

    def commit(self, *, answered: bool = False) -> None:
        """A turn of all there is. answered: whether the server answers it of itself. Raises ProtocolError."""
        committed = self._rules.commit_audio(self._item_id or None)
        self._end_turn()
        self._answered_ms = None
        self._on_turn(committed, answered)

    def note_answer(self) -> None:
        """An answer was sent whole; what comes now is the user's time to speak."""
        self._answered_ms = None if self._speaking else self._rules.input.ends_ms

    def commit_silence(self) -> None:
        """A turn in which nothing was said since the last answer, if that is so. Raises ProtocolError."""
        begins_ms, self._answered_ms = self._answered_ms, None
        if begins_ms is None or self._speaking:
            return
        item_id, ends_ms = self._new_id("item"), self._rules.input.ends_ms
        committed = self._rules.commit_silence(item_id)
        self._outbox.put(
            events.InputAudioBufferTimeoutTriggered(audio_start_ms=begins_ms, audio_end_ms=ends_ms, item_id=item_id)
        )
        self._on_turn(committed, True)

    @property
    def _speaking(self) -> bool:
        return self._detector is not None and self._detector.speaking

    def clear(self) -> None:
        self._rules.clear_audio()
        self._end_turn()

    async def _ready(self, settings: ServerVad, rate_hz: int) -> TurnDetector:
        detector = self._detector
        if detector is None or detector.settings != settings or detector.rate_hz != rate_hz:
            begins_ms = self._rules.input.ends_ms
            detector = await asyncio.to_thread(TurnDetector, settings, rate_hz, begins_ms)
            self._detector = detector
        return detector

    async def _hear(self, detector: TurnDetector, pcm: NDArray[np.int16]) -> None:
        buffer = self._rules.input
        if detector.speaking and buffer.seconds + len(pcm) / detector.rate_hz > self._rules.max_speech_s:
            self._stop(detector, buffer.ends_ms)  # the longest turn there is
        buffer.append(pcm, detector.rate_hz)
        for change in await asyncio.to_thread(detector.push, pcm):
            if isinstance(change, SpeechStarted):
                self._start(detector, change)
            else:
                self._stop(detector, change.at_ms)
        if not detector.speaking:
            buffer.drop_before(buffer.ends_ms - detector.settings.prefix_padding_ms - KEPT_MS)

    def _start(self, detector: TurnDetector, started: SpeechStarted) -> None:
        self._answered_ms = None
        self._rules.input.drop_before(started.at_ms)
        self._item_id = self._new_id("item")
        begins_ms = self._rules.input.begins_ms
        self._outbox.put(events.InputAudioBufferSpeechStarted(audio_start_ms=begins_ms, item_id=self._item_id))
        if detector.settings.interrupt_response:
            self._on_speech()

    def _stop(self, detector: TurnDetector, at_ms: int) -> None:
        self._outbox.put(events.InputAudioBufferSpeechStopped(audio_end_ms=at_ms, item_id=self._item_id))
        committed = self._rules.commit_audio(self._item_id, until_ms=at_ms)
        self._end_turn()
        self._on_turn(committed, detector.settings.create_response)

    def _end_turn(self) -> None:
        self._item_id = ""
        if self._detector is not None:
            self._detector.end_turn()
