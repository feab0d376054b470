"""What duplex clients say otherwise than we do. All else they say is ours, and is read as ours."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from omnisdk.protocol import events

InputEncoding = Literal["pcm16", "pcm_f32le"]
InputRate = Annotated[int, Meta(ge=8_000, le=48_000)]
Milliseconds = Annotated[float, Meta(ge=0)]


class AppendedAudio(Struct, tag_field="type", tag="input_audio_buffer.append", kw_only=True):
    """audio may be empty beside video_frames, encoded pictures. The last three fields say nothing that is not heard."""

    event_id: str | None = None
    audio: bytes
    format: InputEncoding | UnsetType = UNSET
    sample_rate_hz: InputRate | UnsetType = UNSET
    video_frames: list[bytes] = []
    duration_ms: Milliseconds | None = None
    audio_end_ms: Milliseconds | None = None
    is_speech: bool | None = None


class CommittedAudio(Struct, tag_field="type", tag="input_audio_buffer.commit", kw_only=True):
    """final: whether the turn ends here. response_create: whether it is answered; else as the session says."""

    event_id: str | None = None
    final: bool = True
    response_create: bool | UnsetType = UNSET


class AnsweredCommit(events.InputAudioBufferCommit, tag="input_audio_buffer.commit"):
    """A commit that the server answers without being asked, as soon as it may."""


class PlaybackAck(Struct, tag_field="type", tag="playback.ack", kw_only=True):
    """How much of an answer was played, from its beginning; of the newest if none is named."""

    event_id: str | None = None
    played_ms: Milliseconds
    committed_ms: Milliseconds | None = None
    response_id: str | None = None
    item_id: str | None = None


class InputRates(Struct, kw_only=True):
    sample_rate_hz: InputRate | UnsetType = UNSET


class OutputRates(Struct, kw_only=True):
    sample_rate_hz: Literal[24_000] | UnsetType = UNSET


class Rates(Struct, kw_only=True):
    input: InputRates = field(default_factory=InputRates)
    output: OutputRates = field(default_factory=OutputRates)


class ExtraBody(Struct, kw_only=True):
    """auto_response: whether a turn that is committed is answered without being asked."""

    auto_response: bool | UnsetType = UNSET


class DuplexSettings(Struct, kw_only=True):
    """overlap_policy: whether speech interrupts an answer. playback_commit_policy: whether an answer counts as heard
    when it was made, or as far as it was acknowledged.
    """

    modalities: Annotated[list[Literal["audio", "text"]], Meta(min_length=1)] | UnsetType = UNSET
    input_audio_format: InputEncoding | UnsetType = UNSET
    output_audio_format: Literal["pcm16"] | UnsetType = UNSET
    sample_rate_hz: InputRate | UnsetType = UNSET
    audio: Rates = field(default_factory=Rates)
    turn_detection: dict[str, Any] | UnsetType | None = UNSET
    voice: str | UnsetType = UNSET
    overlap_policy: Literal["listen_only", "barge_in_on_speech"] | UnsetType = UNSET
    playback_commit_policy: Literal["commit_all_on_done", "ack_only"] | UnsetType = UNSET
    extra_body: ExtraBody = field(default_factory=ExtraBody)


class DuplexUpdate(Struct, tag_field="type", tag="session.update", kw_only=True):
    session: DuplexSettings
