"""The response object of response.created and response.done."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from omnisdk.protocol.items import ImageRef, Item

ResponseStatus = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
EarlyEnd = Literal["finalized", "deadline", "max_output_tokens"]


class FailureCause(Struct, kw_only=True, omit_defaults=True):
    type: str | None = None
    code: str | None = None
    message: str | None = None


class StatusDetails(Struct, kw_only=True, omit_defaults=True):
    """Why a response ended as it did.

    reason: "client_cancelled" or "turn_detected" for a cancelled one, "max_output_tokens" for one that was cut short.
    """

    type: ResponseStatus
    reason: str | None = None
    error: FailureCause | None = None


class InputTokens(Struct, kw_only=True):
    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens: int = 0


class OutputTokens(Struct, kw_only=True):
    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0


class UsageOmni(Struct, kw_only=True):
    """steps: denoise steps run."""

    steps: int = 0


class Usage(Struct, kw_only=True):
    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: InputTokens
    output_token_details: OutputTokens
    omni: UsageOmni


class ResponseOmni(Struct, kw_only=True, omit_defaults=True):
    """reason: why an incomplete response ended early. images: the pictures of the answer."""

    reason: EarlyEnd | None = None
    images: list[ImageRef] = []


class Response(Struct, kw_only=True):
    id: str
    status: ResponseStatus
    output: list[Item]
    output_modalities: list[str]
    object: Literal["realtime.response"] = "realtime.response"
    status_details: StatusDetails | None = None
    conversation_id: str | None = None
    max_output_tokens: int | Literal["inf"] = "inf"
    metadata: dict[str, str] | None = None
    usage: Usage | None = None
    omni: ResponseOmni | UnsetType = UNSET
