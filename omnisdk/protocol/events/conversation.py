"""What is said and shown: the buffers, the items, what was heard."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from omnisdk.protocol.events.base import FromClient, FromServer
from omnisdk.protocol.items import Item
from omnisdk.protocol.picture import Picture
from omnisdk.protocol.response import FailureCause


class InputAudioBufferAppend(FromClient, tag="input_audio_buffer.append"):
    """More of what is said. Not acknowledged. audio: in the session's input format, PCM16 at 24 kHz mono by default."""

    audio: bytes


class InputAudioBufferClear(FromClient, tag="input_audio_buffer.clear"):
    """Forget what the buffer holds."""


class InputAudioBufferCommit(FromClient, tag="input_audio_buffer.commit"):
    """Make a user item of what the buffer holds."""


class OmniImageBufferAppend(FromClient, tag="omni.image_buffer.append"):
    """A picture of a camera or a screen. The user's next turn takes the newest with it. Not acknowledged."""

    image: Picture


class OmniImageBufferClear(FromClient, tag="omni.image_buffer.clear"):
    """The next turn takes no picture with it. Not acknowledged."""


class ConversationItemCreate(FromClient, tag="conversation.item.create"):
    """Put an item into the conversation.

    previous_item_id: what it stands behind; None for the end, "root" for the beginning.
    """

    item: Item
    previous_item_id: str | None = None


class ConversationItemRetrieve(FromClient, tag="conversation.item.retrieve"):
    """Ask for an item as the server has it, its speech included."""

    item_id: str


class ConversationItemDelete(FromClient, tag="conversation.item.delete"):
    """Take an item out of the conversation."""

    item_id: str


class ConversationItemTruncate(FromClient, tag="conversation.item.truncate"):
    """Of a spoken answer only what was heard before `audio_end_ms` stays; more than there is means all of it."""

    item_id: str
    content_index: int
    audio_end_ms: Annotated[int, Meta(ge=0)]


class InputAudioBufferCommitted(FromServer, tag="input_audio_buffer.committed"):
    """A turn was made of the buffer; its item is told next."""

    item_id: str
    previous_item_id: str | None = None


class InputAudioBufferCleared(FromServer, tag="input_audio_buffer.cleared"):
    """The buffer is empty."""


class InputAudioBufferSpeechStarted(FromServer, tag="input_audio_buffer.speech_started"):
    """Turn detection hears speech. item_id: of the item it will become.

    audio_start_ms: where that item begins in all audio of the session.
    """

    audio_start_ms: int
    item_id: str


class InputAudioBufferSpeechStopped(FromServer, tag="input_audio_buffer.speech_stopped"):
    """The turn is over; it is committed next. audio_end_ms: as audio_start_ms."""

    audio_end_ms: int
    item_id: str


class InputAudioBufferTimeoutTriggered(FromServer, tag="input_audio_buffer.timeout_triggered"):
    """The user said nothing for `idle_timeout_ms`: the silence is committed as an item, and answered.

    audio_start_ms, audio_end_ms: the silence in all audio of the session, from the end of the answer before it.
    """

    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class ConversationItemAdded(FromServer, tag="conversation.item.added"):
    """An item stands in the conversation; an answer's is still empty."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemDone(FromServer, tag="conversation.item.done"):
    """An item is complete."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemRetrieved(FromServer, tag="conversation.item.retrieved"):
    """The item that was asked for, with its speech unless that would make the frame too large."""

    item: Item


class ConversationItemDeleted(FromServer, tag="conversation.item.deleted"):
    """The item is no longer in the conversation."""

    item_id: str


class ConversationItemTruncated(FromServer, tag="conversation.item.truncated"):
    """A spoken answer ends in the conversation where the user stopped hearing it.

    audio_end_ms: as far as the user heard it, no more than there was.
    """

    item_id: str
    content_index: int
    audio_end_ms: int


class SpeechDuration(Struct, tag_field="type", tag="duration", kw_only=True):
    seconds: float


class LogProb(Struct, kw_only=True):
    """How sure the model was of a token when it filled it in. bytes: of its text in UTF-8."""

    token: str
    bytes: list[int]
    logprob: float


class ConversationItemInputAudioTranscriptionDelta(FromServer, tag="conversation.item.input_audio_transcription.delta"):
    """More of what the model heard the user say. Appends. logprobs: where the session's `include` asks for them."""

    item_id: str
    content_index: int
    delta: str
    logprobs: list[LogProb] | UnsetType = UNSET


class ConversationItemInputAudioTranscriptionCompleted(
    FromServer, tag="conversation.item.input_audio_transcription.completed"
):
    """What the model heard the user say."""

    item_id: str
    content_index: int
    transcript: str
    usage: SpeechDuration
    logprobs: list[LogProb] | UnsetType = UNSET


class ConversationItemInputAudioTranscriptionFailed(
    FromServer, tag="conversation.item.input_audio_transcription.failed"
):
    """What was said could not be written down; the speech itself stands."""

    item_id: str
    content_index: int
    error: FailureCause
