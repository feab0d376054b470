"""An answer as every client is told it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from omnisdk.protocol.events.base import FromClient, FromServer
from omnisdk.protocol.items import Item
from omnisdk.protocol.response import Response
from omnisdk.protocol.settings import ResponseSettings


class ResponseCreate(FromClient, tag="response.create"):
    """Answer the conversation, or what `response` gives in its place."""

    response: ResponseSettings | None = None


class ResponseCancel(FromClient, tag="response.cancel"):
    """Stop making a response, as soon as its step is over."""

    response_id: str | None = None


class OutputAudioBufferClear(FromClient, tag="output_audio_buffer.clear"):
    """Of other transports; nothing to do on a websocket."""


class AnswerPart(Struct, kw_only=True, omit_defaults=True):
    """A part in response.content_part events, which name text "text", not "output_text"."""

    type: Literal["text", "audio"]
    text: str | None = None
    transcript: str | None = None


class ResponseCreated(FromServer, tag="response.created"):
    """A response has begun."""

    response: Response


class ResponseOutputItemAdded(FromServer, tag="response.output_item.added"):
    """A response has begun an item."""

    response_id: str
    output_index: int
    item: Item


class ResponseOutputItemDone(FromServer, tag="response.output_item.done"):
    """An item of a response is complete."""

    response_id: str
    output_index: int
    item: Item


class ResponseContentPartAdded(FromServer, tag="response.content_part.added"):
    """A part of an answer has begun."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: AnswerPart


class ResponseContentPartDone(FromServer, tag="response.content_part.done"):
    """A part of an answer is complete."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    part: AnswerPart


class ResponseOutputTextDelta(FromServer, tag="response.output_text.delta"):
    """Appends. Sent when the text is settled; while it is not, see omni.text.partial."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputTextDone(FromServer, tag="response.output_text.done"):
    """All of the text."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    text: str


class ResponseOutputAudioTranscriptDelta(FromServer, tag="response.output_audio_transcript.delta"):
    """The words of a spoken answer. Appends. Sent when they are settled."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: str


class ResponseOutputAudioTranscriptDone(FromServer, tag="response.output_audio_transcript.done"):
    """All words of a spoken answer."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    transcript: str


class ResponseOutputAudioDelta(FromServer, tag="response.output_audio.delta"):
    """More of the sound, in pieces that every client takes. delta: in the session's output format. Appends."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int
    delta: bytes


class ResponseOutputAudioDone(FromServer, tag="response.output_audio.done"):
    """No more sound comes."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int


class ResponseFunctionCallArgumentsDelta(FromServer, tag="response.function_call_arguments.delta"):
    """More of a call's arguments. delta: appends to the JSON of the arguments."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    delta: str


class ResponseFunctionCallArgumentsDone(FromServer, tag="response.function_call_arguments.done"):
    """All arguments of a call."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str
    name: str
    arguments: str


class ResponseDone(FromServer, tag="response.done"):
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


class RateLimitsUpdated(FromServer, tag="rate_limits.updated"):
    """After response.done, to clients whose key has limits.

    rate_limits: of requests and tokens, which all clients know. omni: of the rest.
    """

    rate_limits: list[RateLimit]
    omni: RateLimitsOmni
