"""Every event of the wire, in one file. Client events first, then the server's, then the omni.* extension of each.

`event_id` is optional on what a client sends and comes back in the error about it; the server stamps its own.
`server_event_seq` is counted in sessions that survive their socket; partials and a few others have none.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from omnisdk.protocol.changes import AtStep, CanvasChange, CanvasEdit, Seed, Steer
from omnisdk.protocol.items import ImageRef, Item
from omnisdk.protocol.picture import Picture
from omnisdk.protocol.response import FailureCause, Response, ResponseStatus
from omnisdk.protocol.settings import ResponseSettings, SessionSettings


class _FromClient(Struct, tag_field="type", kw_only=True, omit_defaults=True):
    event_id: str | None = None


class _FromServer(Struct, tag_field="type", kw_only=True):
    event_id: str = ""
    server_event_seq: int | UnsetType = UNSET


# Client events


class SessionUpdate(_FromClient, tag="session.update"):
    """Lay these settings over those that hold; what is left out stays. Answered by session.updated."""

    session: SessionSettings


class InputAudioBufferAppend(_FromClient, tag="input_audio_buffer.append"):
    """More of what is said. Not acknowledged. audio: in the session's input format, PCM16 at 24 kHz mono by default."""

    audio: bytes


class InputAudioBufferClear(_FromClient, tag="input_audio_buffer.clear"):
    """Forget what the buffer holds."""


class InputAudioBufferCommit(_FromClient, tag="input_audio_buffer.commit"):
    """Make a user item of what the buffer holds."""


class OmniImageBufferAppend(_FromClient, tag="omni.image_buffer.append"):
    """A picture of a camera or a screen. The user's next turn takes the newest with it. Not acknowledged."""

    image: Picture


class OmniImageBufferClear(_FromClient, tag="omni.image_buffer.clear"):
    """The next turn takes no picture with it. Not acknowledged."""


class ConversationItemCreate(_FromClient, tag="conversation.item.create"):
    """Put an item into the conversation.

    previous_item_id: what it stands behind; None for the end, "root" for the beginning.
    """

    item: Item
    previous_item_id: str | None = None


class ConversationItemRetrieve(_FromClient, tag="conversation.item.retrieve"):
    """Ask for an item as the server has it, its speech included."""

    item_id: str


class ConversationItemDelete(_FromClient, tag="conversation.item.delete"):
    """Take an item out of the conversation."""

    item_id: str


class ConversationItemTruncate(_FromClient, tag="conversation.item.truncate"):
    """Of a spoken answer only what was heard before `audio_end_ms` stays; more than there is means all of it."""

    item_id: str
    content_index: int
    audio_end_ms: Annotated[int, Meta(ge=0)]


class ResponseCreate(_FromClient, tag="response.create"):
    """Answer the conversation, or what `response` gives in its place."""

    response: ResponseSettings | None = None


class ResponseCancel(_FromClient, tag="response.cancel"):
    """Stop making a response, as soon as its step is over."""

    response_id: str | None = None


class OutputAudioBufferClear(_FromClient, tag="output_audio_buffer.clear"):
    """Of other transports; nothing to do on a websocket."""


# Of the socket, in vLLM-Omni's names; taken from every client that sends them


class SessionResume(_FromClient, tag="session.resume"):
    """Go on with a session whose socket was lost: the first event on a socket that was opened with `?autostart=0`.

    Answered by session.resumed and all numbered events after `last_received_server_event_seq`.
    """

    session_id: str
    resume_token: str
    last_received_server_event_seq: Annotated[int, Meta(ge=0)] = 0


class SessionEventAck(_FromClient, tag="session.event_ack"):
    """All events up to this number have come and need not be kept. Not answered."""

    server_event_seq: Annotated[int, Meta(ge=0)]


class SessionHeartbeat(_FromClient, tag="session.heartbeat"):
    """Are you there? Answered by session.heartbeat_ack, after what was sent before. Does not count as use."""


class SessionClose(_FromClient, tag="session.close"):
    """End the session for good. Answered by session.closed."""


SocketEvent = SessionResume | SessionEventAck | SessionHeartbeat | SessionClose


class OmniResponseFinalize(_FromClient, tag="omni.response.finalize"):
    """Finish now with the best so far."""

    response_id: str


class OmniCanvasEdit(_FromClient, tag="omni.canvas.edit"):
    """Change the answer that is being made, at its next step; all edits are made or none."""

    canvas_id: str
    edits: list[CanvasEdit]


class OmniResponseTune(_FromClient, tag="omni.response.tune"):
    """Change how the rest of the answer is made. steps_left: for all that is open. temperature: of every slot."""

    response_id: str
    steps_left: int | None = None
    temperature: float | None = None


class OmniCanvasSteer(_FromClient, tag="omni.canvas.steer"):
    """Another request for the answer that is being made, from its next step on; answered by omni.canvas.steered."""

    canvas_id: str
    steer: Steer


class OmniCanvasFork(_FromClient, tag="omni.canvas.fork"):
    """Go on twice: a second response, outside of the conversation, with another seed.

    at_step: from what was known after so many steps; None for now. One that is over can be forked at a step.
    """

    canvas_id: str
    seed: Seed | None = None
    at_step: AtStep | None = None
    metadata: dict[str, str] | None = None


ClientEvent = (
    SessionUpdate
    | InputAudioBufferAppend
    | InputAudioBufferClear
    | InputAudioBufferCommit
    | ConversationItemCreate
    | ConversationItemRetrieve
    | ConversationItemDelete
    | ConversationItemTruncate
    | ResponseCreate
    | ResponseCancel
    | OutputAudioBufferClear
    | OmniImageBufferAppend
    | OmniImageBufferClear
    | SessionResume
    | SessionEventAck
    | SessionHeartbeat
    | SessionClose
    | OmniResponseFinalize
    | OmniCanvasEdit
    | OmniResponseTune
    | OmniCanvasSteer
    | OmniCanvasFork
)


# Server events: errors and the session


class ErrorDetails(Struct, kw_only=True):
    """event_id: the client's id of the event at fault."""

    type: str
    message: str
    code: str | None = None
    param: str | None = None
    event_id: str | None = None


class Error(_FromServer, tag="error"):
    """An event could not be taken; the session lives on."""

    error: ErrorDetails


class SessionCreated(_FromServer, tag="session.created"):
    """The first event of a session. resume_token: of sessions that survive their socket, to be kept secret.

    attachment_generation: how many sockets the session has had.
    """

    session: SessionSettings
    resume_token: str | UnsetType = UNSET
    attachment_generation: int | UnsetType = UNSET


class SessionUpdated(_FromServer, tag="session.updated"):
    """The settings that hold from now on, all of them."""

    session: SessionSettings


# Server events: of the socket


class SessionResumed(_FromServer, tag="session.resumed"):
    """The session goes on over this socket; the numbered events that were not received come next.

    resume_token: takes the place of the one before. last_client_event_id: of the last event with an id that the
    session took; those sent after it were lost.
    """

    session_id: str
    session: SessionSettings
    resume_token: str
    attachment_generation: int
    last_client_event_id: str | None = None


class SessionReplaced(_FromServer, tag="session.replaced"):
    """Another socket has resumed the session; this one is closed."""

    session_id: str
    attachment_generation: int


class SessionResyncRequired(_FromServer, tag="session.resync_required"):
    """Events that were not received are no longer kept, so the session cannot be resumed; begin a new one."""

    session_id: str
    reason: str


class SessionHeartbeatAck(_FromServer, tag="session.heartbeat_ack"):
    """The server is there, and has taken what was sent before."""

    session_id: str


class SessionClosed(_FromServer, tag="session.closed"):
    """The session has ended, as the client asked."""

    session_id: str
    reason: str


class OmniSessionGoAway(_FromServer, tag="omni.session.go_away"):
    """The session will be closed. reason: "shutdown", "idle" (not if it is used) or "max_session"."""

    time_left_ms: int
    reason: str


# Server events: what is said


class InputAudioBufferCommitted(_FromServer, tag="input_audio_buffer.committed"):
    """A turn was made of the buffer; its item is told next."""

    item_id: str
    previous_item_id: str | None = None


class InputAudioBufferCleared(_FromServer, tag="input_audio_buffer.cleared"):
    """The buffer is empty."""


class InputAudioBufferSpeechStarted(_FromServer, tag="input_audio_buffer.speech_started"):
    """Turn detection hears speech. item_id: of the item it will become.

    audio_start_ms: where that item begins in all audio of the session.
    """

    audio_start_ms: int
    item_id: str


class InputAudioBufferSpeechStopped(_FromServer, tag="input_audio_buffer.speech_stopped"):
    """The turn is over; it is committed next. audio_end_ms: as audio_start_ms."""

    audio_end_ms: int
    item_id: str


class InputAudioBufferTimeoutTriggered(_FromServer, tag="input_audio_buffer.timeout_triggered"):
    """The user said nothing for `idle_timeout_ms`: the silence is committed as an item, and answered.

    audio_start_ms, audio_end_ms: the silence in all audio of the session, from the end of the answer before it.
    """

    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class ConversationItemAdded(_FromServer, tag="conversation.item.added"):
    """An item stands in the conversation; an answer's is still empty."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemDone(_FromServer, tag="conversation.item.done"):
    """An item is complete."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemRetrieved(_FromServer, tag="conversation.item.retrieved"):
    """The item that was asked for, with its speech unless that would make the frame too large."""

    item: Item


class ConversationItemDeleted(_FromServer, tag="conversation.item.deleted"):
    """The item is no longer in the conversation."""

    item_id: str


class ConversationItemTruncated(_FromServer, tag="conversation.item.truncated"):
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


class ConversationItemInputAudioTranscriptionDelta(
    _FromServer, tag="conversation.item.input_audio_transcription.delta"
):
    """More of what the model heard the user say. Appends. logprobs: where the session's `include` asks for them."""

    item_id: str
    content_index: int
    delta: str
    logprobs: list[LogProb] | UnsetType = UNSET


class ConversationItemInputAudioTranscriptionCompleted(
    _FromServer, tag="conversation.item.input_audio_transcription.completed"
):
    """What the model heard the user say."""

    item_id: str
    content_index: int
    transcript: str
    usage: SpeechDuration
    logprobs: list[LogProb] | UnsetType = UNSET


class ConversationItemInputAudioTranscriptionFailed(
    _FromServer, tag="conversation.item.input_audio_transcription.failed"
):
    """What was said could not be written down; the speech itself stands."""

    item_id: str
    content_index: int
    error: FailureCause


# Server events: the answer


class AnswerPart(Struct, kw_only=True, omit_defaults=True):
    """A part in response.content_part events, which name text "text", not "output_text"."""

    type: Literal["text", "audio"]
    text: str | None = None
    transcript: str | None = None


class ResponseCreated(_FromServer, tag="response.created"):
    """A response has begun."""

    response: Response


class ResponseOutputItemAdded(_FromServer, tag="response.output_item.added"):
    """A response has begun an item."""

    response_id: str
    output_index: int
    item: Item


class ResponseOutputItemDone(_FromServer, tag="response.output_item.done"):
    """An item of a response is complete."""

    response_id: str
    output_index: int
    item: Item


class ResponseContentPartAdded(_FromServer, tag="response.content_part.added"):
    """A part of an answer has begun."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: AnswerPart


class ResponseContentPartDone(_FromServer, tag="response.content_part.done"):
    """A part of an answer is complete."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: AnswerPart


class ResponseOutputTextDelta(_FromServer, tag="response.output_text.delta"):
    """Appends. Sent when the text is settled; while it is not, see omni.text.partial."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputTextDone(_FromServer, tag="response.output_text.done"):
    """All of the text."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    text: str


class ResponseOutputAudioTranscriptDelta(_FromServer, tag="response.output_audio_transcript.delta"):
    """The words of a spoken answer. Appends. Sent when they are settled."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputAudioTranscriptDone(_FromServer, tag="response.output_audio_transcript.done"):
    """All words of a spoken answer."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    transcript: str


class ResponseOutputAudioDelta(_FromServer, tag="response.output_audio.delta"):
    """More of the sound, in pieces that every client takes. delta: in the session's output format. Appends."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: bytes


class ResponseOutputAudioDone(_FromServer, tag="response.output_audio.done"):
    """No more sound comes."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int


class ResponseFunctionCallArgumentsDelta(_FromServer, tag="response.function_call_arguments.delta"):
    """More of a call's arguments. delta: appends to the JSON of the arguments."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    delta: str


class ResponseFunctionCallArgumentsDone(_FromServer, tag="response.function_call_arguments.done"):
    """All arguments of a call."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    name: str
    arguments: str


class ResponseDone(_FromServer, tag="response.done"):
    """The only event that ends a response."""

    response: Response


class RateLimit(Struct, kw_only=True):
    """What is left of one limit. limit: a minute. reset_seconds: until all of it is there again."""

    name: str
    limit: int
    remaining: int
    reset_seconds: float


class RateLimitsOmni(Struct, kw_only=True):
    """rate_limits: of bytes, pixels, audio_seconds and steps."""

    rate_limits: list[RateLimit]


class RateLimitsUpdated(_FromServer, tag="rate_limits.updated"):
    """After response.done, to clients whose key has limits.

    rate_limits: of requests and tokens, which all clients know. omni: of the rest.
    """

    rate_limits: list[RateLimit]
    omni: RateLimitsOmni


# Server events of the extension, for clients that opted in


class ImageShape(Struct, kw_only=True):
    """A picture's pixels, and its cells: the token grid."""

    width: int
    height: int
    columns: int
    rows: int


class SpeechInput(Struct, kw_only=True):
    """sample_rate_hz: what the model hears at; the wire is always 24 kHz."""

    sample_rate_hz: int
    max_seconds: float


class CapabilityLimits(Struct, kw_only=True):
    max_image_bytes: int
    max_image_pixels: int
    max_frame_bytes: int
    max_steps: int


class AdaptiveLength(Struct, kw_only=True):
    """`ratio` positions a token of `of`: "prompt", all that stands before the answer; "text", what the user wrote."""

    of: str
    ratio: float


class SlotDetails(Struct, kw_only=True):
    """A slot with its numbers, as SlotSettings names them. adaptive: where given, `length` is the most it may be."""

    name: str
    modality: str
    length: int
    steps: int
    schedule: str
    confidence: str
    confidence_noise: float
    prior_weight: float
    commit: str
    commit_bound: float
    revise_below: float
    refresh_every: int
    temperature: float
    top_k: int
    top_p: float
    repeat_penalty: float
    position_penalty: float
    guidance_scale: float
    adaptive: AdaptiveLength | None = None


class RecipeDetails(Struct, kw_only=True):
    """What the model can do by one name.

    reads: what the turn must hold. slots: in the order they are finished. task: the paper's name for it.
    system, instruction: the words with which the model was taught it, a system line and a line before the request.
    """

    name: str
    reads: list[str]
    slots: list[SlotDetails]
    task: str = ""
    system: str = ""
    instruction: str = ""


class OmniSessionCapabilities(_FromServer, tag="omni.session.capabilities"):
    """What the model can do and how much it takes.

    recipes: by name, for omni.recipe; recipe_details: the same with all their numbers.
    """

    version: str
    modalities_in: list[str]
    modalities_out: list[str]
    recipes: list[str]
    limits: CapabilityLimits
    image: ImageShape | None = None
    speech_in: SpeechInput | None = None
    recipe_details: list[RecipeDetails] = []


class SlotLayout(Struct, kw_only=True, omit_defaults=True):
    name: str
    modality: str
    length: int
    columns: int | None = None
    rows: int | None = None


class OmniCanvasCreated(_FromServer, tag="omni.canvas.created"):
    """The canvas of a response is laid out, all of it masked but what was given."""

    canvas_id: str
    response_id: str
    steps: int
    seed: int
    slots: list[SlotLayout]


class SlotChange(Struct, kw_only=True):
    """updates: (position in the slot, token id, confidence) of what was filled; remasked: positions opened again."""

    name: str
    updates: list[tuple[int, int, float]]
    remasked: list[int]


class OmniCanvasDelta(_FromServer, tag="omni.canvas.delta"):
    """What changed on the canvas since the delta sent before."""

    canvas_id: str
    response_id: str
    step: int
    steps: int
    unmasked_ratio: float
    slots: list[SlotChange]


class Span(Struct, kw_only=True):
    """Characters [start, end) of a text."""

    start: int
    end: int
    masked: bool
    confidence: float


class OmniTextPartial(_FromServer, tag="omni.text.partial"):
    """A text slot as far as it is known. A snapshot, not an append."""

    response_id: str
    slot: str
    text: str
    spans: list[Span]


class OmniImagePartial(_FromServer, tag="omni.image.partial"):
    """A picture as far as it is known. mask, confidence: one for each cell, row by row; 1 is still masked."""

    response_id: str
    slot: str
    step: int
    steps: int
    partial_image_index: int
    width: int
    height: int
    mime: str
    partial_image_b64: bytes
    rows: int
    columns: int
    mask: list[int]
    confidence: list[float]


class OmniProgress(_FromServer, tag="omni.progress"):
    """The last event of a partial. slots: the unmasked share of each slot by name."""

    response_id: str
    step: int
    steps: int
    unmasked_ratio: float
    eta_ms: int
    slots: dict[str, float] = {}


class OmniImageDone(_FromServer, tag="omni.image.done"):
    """A finished picture. b64: its bytes, unless they would make the frame too large; they are at image.url too."""

    response_id: str
    item_id: str
    output_index: int
    image: ImageRef
    b64: bytes | None = None


class OmniCanvasEdited(_FromServer, tag="omni.canvas.edited"):
    """The edits were made, after this many steps."""

    canvas_id: str
    response_id: str
    applied_at_step: int


class OmniCanvasSteered(_FromServer, tag="omni.canvas.steered"):
    """The other request holds after this many steps. What it opens comes as `remasked` of the next delta."""

    canvas_id: str
    response_id: str
    applied_at_step: int


class OmniResponseTuned(_FromServer, tag="omni.response.tuned"):
    """The rest of the answer is made as asked, after this many steps."""

    response_id: str
    applied_at_step: int


class OmniCanvasDone(_FromServer, tag="omni.canvas.done"):
    """The canvas is as it stays. unmasked_per_step: fewer than none where a step opened more than it filled.

    seed, recipe, changes: with the same input they make the same tokens again, as omni.seed, omni.recipe with the
    numbers in omni.generation, and omni.changes of another response.
    """

    canvas_id: str
    response_id: str
    seed: int
    status: ResponseStatus
    steps: int
    unmasked_per_step: list[int]
    recipe: RecipeDetails | None = None
    changes: list[CanvasChange] = []


class UnknownEvent(Struct, kw_only=True):
    """A server event this version does not know; to be passed over."""

    type: str
    event_id: str = ""


KnownServerEvent = (
    Error
    | SessionCreated
    | SessionUpdated
    | SessionResumed
    | SessionReplaced
    | SessionResyncRequired
    | SessionHeartbeatAck
    | SessionClosed
    | OmniSessionGoAway
    | InputAudioBufferCommitted
    | InputAudioBufferCleared
    | InputAudioBufferSpeechStarted
    | InputAudioBufferSpeechStopped
    | InputAudioBufferTimeoutTriggered
    | ConversationItemAdded
    | ConversationItemDone
    | ConversationItemRetrieved
    | ConversationItemDeleted
    | ConversationItemTruncated
    | ConversationItemInputAudioTranscriptionDelta
    | ConversationItemInputAudioTranscriptionCompleted
    | ConversationItemInputAudioTranscriptionFailed
    | ResponseCreated
    | ResponseOutputItemAdded
    | ResponseOutputItemDone
    | ResponseContentPartAdded
    | ResponseContentPartDone
    | ResponseOutputTextDelta
    | ResponseOutputTextDone
    | ResponseOutputAudioTranscriptDelta
    | ResponseOutputAudioTranscriptDone
    | ResponseOutputAudioDelta
    | ResponseOutputAudioDone
    | ResponseFunctionCallArgumentsDelta
    | ResponseFunctionCallArgumentsDone
    | ResponseDone
    | RateLimitsUpdated
    | OmniSessionCapabilities
    | OmniCanvasCreated
    | OmniCanvasDelta
    | OmniTextPartial
    | OmniImagePartial
    | OmniProgress
    | OmniImageDone
    | OmniCanvasEdited
    | OmniCanvasSteered
    | OmniResponseTuned
    | OmniCanvasDone
)
ServerEvent = KnownServerEvent | UnknownEvent

# What is not numbered: the newest partial replaces those before, and the rest is of one socket alone.
UNNUMBERED = (
    OmniCanvasDelta,
    OmniTextPartial,
    OmniImagePartial,
    OmniProgress,
    SessionResumed,
    SessionReplaced,
    SessionResyncRequired,
    SessionHeartbeatAck,
    SessionClosed,
    OmniSessionGoAway,
)
