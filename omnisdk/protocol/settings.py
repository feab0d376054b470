"""What a client may set for a session or for one response. A field that is UNSET leaves things as they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from omnisdk.protocol.limits import MAX_STEPS, MIN_STEPS

OutputModality = Literal["image", "text"]
PartialKind = Literal["off", "tokens", "preview", "both"]
TokenLimit = Annotated[int, Meta(ge=1)] | Literal["inf"]
AnyStruct = TypeVar("AnyStruct", bound=Struct)

OMNI_VERSION: Literal["omni.v1"] = "omni.v1"


class OmniSettings(Struct, kw_only=True):
    """The extension. Giving it in session.update opts in to the omni.* events.

    output: what answers may hold. partials: what their partial states carry, one each `partial_every` denoise steps.
    seed: None for a fresh one each time. steps: denoise steps of the picture, None for the recipe's.
    deadline_ms: past it the best so far is the answer.
    """

    version: Literal["omni.v1"] | UnsetType = UNSET
    output: Annotated[list[OutputModality], Meta(min_length=1)] | UnsetType = UNSET
    partials: PartialKind | UnsetType = UNSET
    partial_every: Annotated[int, Meta(ge=1, le=MAX_STEPS)] | UnsetType = UNSET
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | UnsetType | None = UNSET
    steps: Annotated[int, Meta(ge=MIN_STEPS, le=MAX_STEPS)] | UnsetType | None = UNSET
    deadline_ms: Annotated[int, Meta(ge=1)] | UnsetType | None = UNSET


DEFAULT_OMNI = OmniSettings(
    version=OMNI_VERSION,
    output=["image", "text"],
    partials="both",
    partial_every=1,
    seed=None,
    steps=None,
    deadline_ms=None,
)


class AudioFormat(Struct, kw_only=True):
    type: str
    rate: int | UnsetType = UNSET


class AudioInput(Struct, kw_only=True):
    format: AudioFormat | UnsetType = UNSET
    noise_reduction: dict[str, Any] | UnsetType | None = UNSET
    transcription: dict[str, Any] | UnsetType | None = UNSET
    turn_detection: dict[str, Any] | UnsetType | None = UNSET


class AudioOutput(Struct, kw_only=True):
    format: AudioFormat | UnsetType = UNSET
    speed: float | UnsetType = UNSET
    voice: str | dict[str, Any] | UnsetType = UNSET


class AudioSettings(Struct, kw_only=True):
    input: AudioInput | UnsetType = UNSET
    output: AudioOutput | UnsetType = UNSET


class SessionSettings(Struct, tag_field="type", tag="realtime", kw_only=True):
    """The `session` object of session.update, session.created and session.updated."""

    id: str | UnsetType = UNSET
    object: Literal["realtime.session"] | UnsetType = UNSET
    model: str | UnsetType | None = UNSET
    output_modalities: list[str] | UnsetType = UNSET
    instructions: str | UnsetType | None = UNSET
    audio: AudioSettings | UnsetType = UNSET
    tools: list[dict[str, Any]] | UnsetType = UNSET
    tool_choice: str | dict[str, Any] | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    max_output_tokens: TokenLimit | UnsetType = UNSET
    truncation: str | dict[str, Any] | UnsetType | None = UNSET
    reasoning: dict[str, Any] | UnsetType | None = UNSET
    tracing: str | dict[str, Any] | UnsetType | None = UNSET
    prompt: dict[str, Any] | UnsetType | None = UNSET
    include: list[str] | UnsetType | None = UNSET
    omni: OmniSettings | UnsetType = UNSET


class ResponseSettings(Struct, kw_only=True):
    """The `response` object of response.create: it holds for one response."""

    output_modalities: list[str] | UnsetType = UNSET
    instructions: str | UnsetType | None = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET
    conversation: str | UnsetType = UNSET
    input: list[dict[str, Any]] | UnsetType = UNSET
    audio: AudioSettings | UnsetType = UNSET
    tools: list[dict[str, Any]] | UnsetType = UNSET
    tool_choice: str | dict[str, Any] | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    max_output_tokens: TokenLimit | UnsetType = UNSET
    reasoning: dict[str, Any] | UnsetType | None = UNSET
    prompt: dict[str, Any] | UnsetType | None = UNSET
    omni: OmniSettings | UnsetType = UNSET


def merged(old: AnyStruct, new: AnyStruct | UnsetType) -> AnyStruct:
    """`old` with every field that `new` sets laid over it, objects field by field."""
    if new is UNSET:
        return old
    changes: dict[str, Any] = {}
    for name in new.__struct_fields__:
        value, known = getattr(new, name), getattr(old, name)
        if isinstance(value, Struct) and isinstance(known, Struct):
            changes[name] = merged(known, value)
        elif value is not UNSET:
            changes[name] = value
    return msgspec.structs.replace(old, **changes)
