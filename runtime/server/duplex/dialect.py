"""A session of vLLM-Omni's duplex API, told in our own events.

What it says in other words is translated; what has no counterpart here is left as it is, and refused as everyone's is.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from omnisdk.protocol import errors, events, wire
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.events import ClientEvent, ServerEvent
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.picture import Picture
from runtime.server.duplex.playback import Playback
from runtime.server.duplex.resampler import Resampler
from runtime.server.duplex.said import (
    AnsweredCommit,
    AppendedAudio,
    CommittedAudio,
    DuplexSettings,
    DuplexUpdate,
    InputEncoding,
    PlaybackAck,
)

Value = TypeVar("Value")
INPUT_RATE_HZ = 16_000  # unless the client says otherwise


class DuplexDialect:
    """speaks: whether the model does. Who asks for audio and text is written to by one that does not."""

    hears_turns_end = False

    def __init__(self, *, speaks: bool) -> None:
        self._speaks = speaks
        self._encoding: InputEncoding = "pcm16"
        self._resampler = Resampler(INPUT_RATE_HZ, WIRE_SAMPLE_RATE_HZ)
        self._answers = True
        self._spoken_to = False  # whether a turn has begun that the server ends
        self._playback = Playback()

    def read(self, frame: str | bytes) -> Iterator[ClientEvent]:
        """What a frame means. Each event is to be taken before the next is asked for. Raises ProtocolError."""
        message = wire.decode_message(frame)
        match message.get("type"):
            case "session.update" if isinstance(message.get("session"), dict):
                yield from self._update(message)
            case "input_audio_buffer.append":
                yield from self._append(wire.checked(message, AppendedAudio, message.get("event_id")))
            case "input_audio_buffer.commit":
                yield from self._commit(wire.checked(message, CommittedAudio, message.get("event_id")))
            case "playback.ack":
                self._playback.acknowledge(wire.checked(message, PlaybackAck, message.get("event_id")))
            case kind:
                if kind == "conversation.item.create":
                    yield from self._playback.settle()
                yield wire.client_event(message)
                if kind == "input_audio_buffer.clear":
                    self._resampler.end()

    def told(self, event: ServerEvent) -> None:
        """To be called with what the client is told."""
        self._playback.told(event)
        match event:
            case events.InputAudioBufferSpeechStarted():
                self._spoken_to = True
            case events.InputAudioBufferCommitted():
                self._spoken_to = False

    def _update(self, message: dict[str, Any]) -> Iterator[ClientEvent]:
        theirs, ours = _parted(message["session"])
        update = {"type": "session.update", "session": theirs}
        wanted: DuplexSettings = wire.checked(update, DuplexUpdate, message.get("event_id")).session
        yield wire.client_event({**message, "session": {**ours, **_in_our_words(wanted, self._speaks)}})
        self._encoding = _newest(self._encoding, wanted.input_audio_format)
        self._hear_at(_newest(self._resampler.from_hz, wanted.audio.input.sample_rate_hz, wanted.sample_rate_hz))
        self._answers = _newest(self._answers, wanted.extra_body.auto_response)
        if wanted.playback_commit_policy is not UNSET:
            self._playback.only_acknowledged = wanted.playback_commit_policy == "ack_only"

    def _append(self, appended: AppendedAudio) -> Iterator[ClientEvent]:
        if self._spoken_to:
            yield from self._playback.settle()
        for encoded in appended.video_frames:
            yield events.OmniImageBufferAppend(event_id=appended.event_id, image=Picture(encoded))
        if appended.video_frames and not appended.audio:
            return
        self._hear_at(_newest(self._resampler.from_hz, appended.sample_rate_hz))
        pcm = _samples(appended.audio, _newest(self._encoding, appended.format), appended.event_id)
        yield from self._heard(self._resampler.push(pcm), appended.event_id)

    def _commit(self, commit: CommittedAudio) -> Iterator[ClientEvent]:
        if not commit.final:
            return
        yield from self._heard(self._resampler.end(), commit.event_id)
        yield from self._playback.settle()
        answered = _newest(self._answers, commit.response_create)
        yield (AnsweredCommit if answered else events.InputAudioBufferCommit)(event_id=commit.event_id)

    def _heard(self, pcm: NDArray[np.int16], event_id: str | None) -> Iterator[ClientEvent]:
        if len(pcm):
            yield events.InputAudioBufferAppend(event_id=event_id, audio=pcm.astype("<i2").tobytes())

    def _hear_at(self, rate_hz: int) -> None:
        if rate_hz != self._resampler.from_hz:
            self._resampler = Resampler(rate_hz, WIRE_SAMPLE_RATE_HZ)


def _parted(session: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a session says in their words, and what in ours."""
    theirs = {name: value for name, value in session.items() if name in DuplexSettings.__struct_fields__}
    return theirs, {name: value for name, value in session.items() if name not in theirs}


def _in_our_words(wanted: DuplexSettings, speaks: bool) -> dict[str, Any]:
    heard, said, told = {}, {}, {}
    if wanted.modalities is not UNSET:
        spoken = "audio" in wanted.modalities and (speaks or "text" not in wanted.modalities)
        told["output_modalities"] = ["audio" if spoken else "text"]
    if wanted.voice is not UNSET:
        said["voice"] = wanted.voice
    if wanted.turn_detection is not UNSET:
        heard["turn_detection"] = wanted.turn_detection
    if isinstance(wanted.turn_detection, dict) and wanted.overlap_policy is not UNSET:
        interrupts = wanted.overlap_policy == "barge_in_on_speech"
        heard["turn_detection"] = {"interrupt_response": interrupts, **wanted.turn_detection}
    return {**told, "audio": {"input": heard, "output": said}}


def _samples(audio: bytes, encoding: InputEncoding, event_id: str | None) -> NDArray[np.int16]:
    """(samples,) int16. Raises ProtocolError if the last one is not whole."""
    kind = np.dtype("<i2" if encoding == "pcm16" else "<f4")
    if len(audio) % kind.itemsize:
        raise ProtocolError(
            f"{len(audio)} bytes of audio came, which ends within a sample; {encoding} has {kind.itemsize} bytes a "
            "sample; send whole samples",
            code=errors.INVALID_VALUE,
            param="audio",
            event_id=event_id,
        )
    samples = np.frombuffer(audio, kind)
    if encoding == "pcm_f32le":
        samples = np.nan_to_num(samples * 32767).clip(-32768, 32767)
    return samples.astype(np.int16)


def _newest(held: Value, *given: Value | UnsetType) -> Value:
    """The last of these that is set."""
    return next((value for value in reversed(given) if not isinstance(value, UnsetType)), held)
