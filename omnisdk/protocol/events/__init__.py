"""Every event of the wire, by what it is about, and the unions of what each side sends."""

from __future__ import annotations

from msgspec import Struct

from omnisdk.protocol.events.answer import (
    AnswerPart,
    OutputAudioBufferClear,
    RateLimit,
    RateLimitsOmni,
    RateLimitsUpdated,
    ResponseCancel,
    ResponseContentPartAdded,
    ResponseContentPartDone,
    ResponseCreate,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseOutputAudioDelta,
    ResponseOutputAudioDone,
    ResponseOutputAudioTranscriptDelta,
    ResponseOutputAudioTranscriptDone,
    ResponseOutputItemAdded,
    ResponseOutputItemDone,
    ResponseOutputTextDelta,
    ResponseOutputTextDone,
)
from omnisdk.protocol.events.base import FromClient, FromServer
from omnisdk.protocol.events.canvas import (
    OmniCanvasCreated,
    OmniCanvasDelta,
    OmniCanvasDone,
    OmniCanvasEdit,
    OmniCanvasEdited,
    OmniCanvasFork,
    OmniCanvasSteer,
    OmniCanvasSteered,
    OmniImageDone,
    OmniImagePartial,
    OmniProgress,
    OmniResponseFinalize,
    OmniResponseTune,
    OmniResponseTuned,
    OmniTextPartial,
    SlotChange,
    SlotLayout,
    Span,
)
from omnisdk.protocol.events.capabilities import (
    AdaptiveLength,
    CapabilityLimits,
    ImageShape,
    OmniSessionCapabilities,
    RecipeDetails,
    SlotDetails,
    SpeechInput,
)
from omnisdk.protocol.events.conversation import (
    ConversationItemAdded,
    ConversationItemCreate,
    ConversationItemDelete,
    ConversationItemDeleted,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    ConversationItemRetrieve,
    ConversationItemRetrieved,
    ConversationItemTruncate,
    ConversationItemTruncated,
    InputAudioBufferAppend,
    InputAudioBufferClear,
    InputAudioBufferCleared,
    InputAudioBufferCommit,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    InputAudioBufferTimeoutTriggered,
    LogProb,
    OmniImageBufferAppend,
    OmniImageBufferClear,
    SpeechDuration,
)
from omnisdk.protocol.events.session import Error, ErrorDetails, SessionCreated, SessionUpdate, SessionUpdated
from omnisdk.protocol.events.socket import (
    OmniSessionGoAway,
    SessionClose,
    SessionClosed,
    SessionEventAck,
    SessionHeartbeat,
    SessionHeartbeatAck,
    SessionReplaced,
    SessionResume,
    SessionResumed,
    SessionResyncRequired,
    SocketEvent,
)

__all__ = [
    "ClientEvent", "KnownServerEvent", "ServerEvent", "UNNUMBERED", "UnknownEvent", "AnswerPart",
    "OutputAudioBufferClear", "RateLimit", "RateLimitsOmni", "RateLimitsUpdated", "ResponseCancel",
    "ResponseContentPartAdded", "ResponseContentPartDone", "ResponseCreate", "ResponseCreated", "ResponseDone",
    "ResponseFunctionCallArgumentsDelta", "ResponseFunctionCallArgumentsDone", "ResponseOutputAudioDelta",
    "ResponseOutputAudioDone", "ResponseOutputAudioTranscriptDelta", "ResponseOutputAudioTranscriptDone",
    "ResponseOutputItemAdded", "ResponseOutputItemDone", "ResponseOutputTextDelta", "ResponseOutputTextDone",
    "FromClient", "FromServer", "OmniCanvasCreated", "OmniCanvasDelta", "OmniCanvasDone", "OmniCanvasEdit",
    "OmniCanvasEdited", "OmniCanvasFork", "OmniCanvasSteer", "OmniCanvasSteered", "OmniImageDone",
    "OmniImagePartial", "OmniProgress", "OmniResponseFinalize", "OmniResponseTune", "OmniResponseTuned",
    "OmniTextPartial", "SlotChange", "SlotLayout", "Span", "AdaptiveLength", "CapabilityLimits", "ImageShape",
    "OmniSessionCapabilities", "RecipeDetails", "SlotDetails", "SpeechInput", "ConversationItemAdded",
    "ConversationItemCreate", "ConversationItemDelete", "ConversationItemDeleted", "ConversationItemDone",
    "ConversationItemInputAudioTranscriptionCompleted", "ConversationItemInputAudioTranscriptionDelta",
    "ConversationItemInputAudioTranscriptionFailed", "ConversationItemRetrieve", "ConversationItemRetrieved",
    "ConversationItemTruncate", "ConversationItemTruncated", "InputAudioBufferAppend", "InputAudioBufferClear",
    "InputAudioBufferCleared", "InputAudioBufferCommit", "InputAudioBufferCommitted",
    "InputAudioBufferSpeechStarted", "InputAudioBufferSpeechStopped", "InputAudioBufferTimeoutTriggered", "LogProb",
    "OmniImageBufferAppend", "OmniImageBufferClear", "SpeechDuration", "Error", "ErrorDetails", "SessionCreated",
    "SessionUpdate", "SessionUpdated", "OmniSessionGoAway", "SessionClose", "SessionClosed", "SessionEventAck",
    "SessionHeartbeat", "SessionHeartbeatAck", "SessionReplaced", "SessionResume", "SessionResumed",
    "SessionResyncRequired", "SocketEvent",
]  # fmt: skip

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
