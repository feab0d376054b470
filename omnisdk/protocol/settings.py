"""What a client may set for a session or for one response. A field that is UNSET leaves things as they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from omnisdk.protocol.changes import CanvasChange, Seed
from omnisdk.protocol.items import Item, ItemReference
from omnisdk.protocol.limits import (
    MAX_CHANGES,
    MAX_COMMIT_BOUND,
    MAX_CONFIDENCE_NOISE,
    MAX_GAP,
    MAX_GUIDANCE_SCALE,
    MAX_HYPOTHESES,
    MAX_IDLE_MS,
    MAX_PENALTY,
    MAX_PREFIX_PADDING_MS,
    MAX_PRIOR_WEIGHT,
    MAX_SILENCE_MS,
    MAX_SLOT_LENGTH,
    MAX_SLOT_STEPS,
    MAX_SLOTS,
    MAX_SPEED,
    MAX_STEPS,
    MAX_TEMPERATURE,
    MAX_TOP_K,
    MIN_IDLE_MS,
    MIN_PENALTY,
    MIN_SILENCE_MS,
    MIN_SPEED,
    MIN_STEPS,
)
from omnisdk.protocol.picture import Picture

OutputModality = Literal["image", "text", "speech"]
Schedule = Literal["linear", "cosine"]
ConfidenceRule = Literal["probability", "margin", "entropy"]
CommitRule = Literal["schedule", "threshold", "entropy_bound", "certain_answer", "stable_prefix"]
Penalty = Annotated[float, Meta(ge=MIN_PENALTY, le=MAX_PENALTY)]
PartialKind = Literal["off", "tokens", "preview", "both"]
TokenLimit = Annotated[int, Meta(ge=1)] | Literal["inf"]
AnyStruct = TypeVar("AnyStruct", bound=Struct)

OMNI_VERSION: Literal["omni.v1"] = "omni.v1"
OMNI_MSGPACK = f"{OMNI_VERSION}+msgpack"  # the subprotocol whose events are MessagePack in binary frames


class SlotSettings(Struct, kw_only=True):
    """The numbers of one slot of a recipe; None is the recipe's own.

    length: positions, exactly so many even where the recipe's length follows the conversation; the steps keep their
        share of it unless they are given too. steps: denoise steps; of a slot whose length follows the conversation
        those of its longest, and shorter ones take their share.
    schedule: share still masked over progress. confidence: what ranks positions; confidence_noise: noise on the rank;
    prior_weight: how much of what all positions have in common is left out of it. commit: what a step may fill beyond
    the schedule, up to commit_bound. revise_below: what was filled with less confidence is opened again once; 0 is off.
    refresh_every: what changes little is worked out anew every so many steps, which is faster and not exact; 1 is off.
    temperature: 0 takes the best token. top_k, top_p: 0 and 1 are off. repeat_penalty, position_penalty: 1 is off.
    hypotheses: answers of a text slot tried side by side, the one taken that best explains what was given; 1 is off, as
    it is where any other number but the length is given. guidance_scale: 0 is off.
    """

    length: Annotated[int, Meta(ge=1, le=MAX_SLOT_LENGTH)] | UnsetType | None = UNSET
    steps: Annotated[int, Meta(ge=1, le=MAX_SLOT_STEPS)] | UnsetType | None = UNSET
    schedule: Schedule | UnsetType | None = UNSET
    confidence: ConfidenceRule | UnsetType | None = UNSET
    confidence_noise: Annotated[float, Meta(ge=0, le=MAX_CONFIDENCE_NOISE)] | UnsetType | None = UNSET
    prior_weight: Annotated[float, Meta(ge=0, le=MAX_PRIOR_WEIGHT)] | UnsetType | None = UNSET
    commit: CommitRule | UnsetType | None = UNSET
    commit_bound: Annotated[float, Meta(ge=0, le=MAX_COMMIT_BOUND)] | UnsetType | None = UNSET
    revise_below: Annotated[float, Meta(ge=0, le=1)] | UnsetType | None = UNSET
    refresh_every: Annotated[int, Meta(ge=1, le=MAX_STEPS)] | UnsetType | None = UNSET
    temperature: Annotated[float, Meta(ge=0, le=MAX_TEMPERATURE)] | UnsetType | None = UNSET
    top_k: Annotated[int, Meta(ge=0, le=MAX_TOP_K)] | UnsetType | None = UNSET
    top_p: Annotated[float, Meta(gt=0, le=1)] | UnsetType | None = UNSET
    repeat_penalty: Penalty | UnsetType | None = UNSET
    position_penalty: Penalty | UnsetType | None = UNSET
    hypotheses: Annotated[int, Meta(ge=1, le=MAX_HYPOTHESES)] | UnsetType | None = UNSET
    guidance_scale: Annotated[float, Meta(ge=0, le=MAX_GUIDANCE_SCALE)] | UnsetType | None = UNSET


class GivenText(Struct, tag_field="type", tag="text", kw_only=True):
    """Words that stand in a text slot. text: "{mask}" where the model is to fill in `gap` tokens."""

    text: str
    slot: str = "text"
    gap: Annotated[int, Meta(ge=1, le=MAX_GAP)] = 1


class GivenImage(Struct, tag_field="type", tag="image", kw_only=True):
    """A picture of which a region is painted anew.

    image_url: as in input_image. box: the region, as left, top, right, bottom in its pixels; the last two are outside.
    mask_url: or the region as a PNG or WebP of the same size, transparent where it is.
    """

    image_url: Picture
    slot: str = "image"
    box: tuple[int, int, int, int] | None = None
    mask_url: Picture | None = None


class GivenSpeech(Struct, tag_field="type", tag="speech", kw_only=True):
    """Speech of which a stretch is said anew.

    audio: in the session's input format. ms: from when to when; so long the new words are.
    """

    audio: bytes
    ms: tuple[float, float]
    slot: str = "speech"


Given = GivenText | GivenImage | GivenSpeech


class CanvasSlot(Struct, kw_only=True, omit_defaults=True):
    """A slot of an answer that the client lays out.

    slot: the name of a slot of the model's recipes ("text", "image", "speech", "transcript"). length: positions; None
    for the recipe's. max_ms: of speech, no longer than that and no longer than the recipe's; what does not fit into it
    is not said. beside: filled side by side with the slot before it, not after it.
    """

    slot: str
    length: Annotated[int, Meta(ge=1, le=MAX_SLOT_LENGTH)] | None = None
    max_ms: Annotated[int, Meta(ge=1)] | None = None
    beside: bool = False


class OmniSettings(Struct, kw_only=True):
    """The extension. Giving it in session.update opts in to the omni.* events.

    output: what answers may hold; where the model cannot make all of it at once, what is named first counts most.
    recipe: the model's recipe by name, whatever output says; None chooses by what is said and wanted.
    partials: what partial states carry, one each `partial_every` denoise steps. seed: None for a fresh one each time.
    steps: denoise steps of the picture, None for the recipe's. generation: the numbers of slots, by slot name; they
    go before `steps`. deadline_ms: past it the best so far is the answer. given: of one response, what stands in its
    answer from the beginning; the model fills in the rest. changes: of one response, what is changed on its way, each
    after its number of steps, as an omni.canvas.done told it: places as positions. canvas: of one response,
    the slots of its answer in the order they are filled, in the place of output and recipe.
    """

    version: Literal["omni.v1"] | UnsetType = UNSET
    output: Annotated[list[OutputModality], Meta(min_length=1)] | UnsetType = UNSET
    recipe: str | UnsetType | None = UNSET
    partials: PartialKind | UnsetType = UNSET
    partial_every: Annotated[int, Meta(ge=1, le=MAX_STEPS)] | UnsetType = UNSET
    seed: Seed | UnsetType | None = UNSET
    steps: Annotated[int, Meta(ge=MIN_STEPS, le=MAX_STEPS)] | UnsetType | None = UNSET
    generation: dict[str, SlotSettings] | UnsetType = UNSET
    deadline_ms: Annotated[int, Meta(ge=1)] | UnsetType | None = UNSET
    given: list[Given] | UnsetType = UNSET
    canvas: Annotated[list[CanvasSlot], Meta(min_length=1, max_length=MAX_SLOTS)] | UnsetType = UNSET
    changes: Annotated[list[CanvasChange], Meta(max_length=MAX_CHANGES)] | UnsetType = UNSET


DEFAULT_OMNI = OmniSettings(
    version=OMNI_VERSION,
    output=["image", "text"],
    recipe=None,
    partials="both",
    partial_every=1,
    seed=None,
    steps=None,
    generation={},
    deadline_ms=None,
)
# Clients without the extension are sent text and shown where pictures are, so text counts more.
PLAIN_OUTPUT: list[OutputModality] = ["text", "image"]
SPOKEN_OUTPUT: list[OutputModality] = ["speech", "text"]  # what output_modalities ["audio"] means


class AudioFormat(Struct, kw_only=True):
    type: str
    rate: int | UnsetType = UNSET


class ServerVad(Struct, tag_field="type", tag="server_vad", kw_only=True):
    """The server hears when a turn begins and ends.

    threshold: probability of speech from which on it is speech. prefix_padding_ms: kept of what came before it.
    silence_duration_ms: that ends the turn. create_response: whether the end of a turn is answered.
    interrupt_response: whether speech cancels the answer that is being made. idle_timeout_ms: so long after an answer
    was made and heard, the user's silence is answered too; None never does.
    """

    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    prefix_padding_ms: Annotated[int, Meta(ge=0, le=MAX_PREFIX_PADDING_MS)] = 300
    silence_duration_ms: Annotated[int, Meta(ge=MIN_SILENCE_MS, le=MAX_SILENCE_MS)] = 500
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: Annotated[int, Meta(ge=MIN_IDLE_MS, le=MAX_IDLE_MS)] | None = None


class SemanticVad(Struct, tag_field="type", tag="semantic_vad", kw_only=True):
    """As server_vad, with a silence that follows from how eager the server is to answer: it hears no meaning."""

    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = ServerVad | SemanticVad
SILENCE_OF_EAGERNESS_MS = {"low": 1_000, "medium": 600, "auto": 600, "high": 300}


def as_server_vad(detection: TurnDetection) -> ServerVad:
    """The numbers by which turns are detected."""
    if isinstance(detection, ServerVad):
        return detection
    return ServerVad(
        silence_duration_ms=SILENCE_OF_EAGERNESS_MS[detection.eagerness],
        create_response=detection.create_response,
        interrupt_response=detection.interrupt_response,
    )


class AudioInput(Struct, kw_only=True):
    format: AudioFormat | UnsetType = UNSET
    noise_reduction: dict[str, Any] | UnsetType | None = UNSET
    transcription: dict[str, Any] | UnsetType | None = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET


class AudioOutput(Struct, kw_only=True):
    """speed: of what is said, beside the model's own; the pitch stays."""

    format: AudioFormat | UnsetType = UNSET
    speed: Annotated[float, Meta(ge=MIN_SPEED, le=MAX_SPEED)] | UnsetType = UNSET
    voice: str | dict[str, Any] | UnsetType = UNSET


class AudioSettings(Struct, kw_only=True):
    input: AudioInput | UnsetType = UNSET
    output: AudioOutput | UnsetType = UNSET


class FunctionTool(Struct, tag_field="type", tag="function", kw_only=True, omit_defaults=True):
    """A function of the client's. parameters: JSON Schema of an object; None for a function that takes nothing."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolChoiceFunction(Struct, tag_field="type", tag="function", kw_only=True):
    """This tool is called, whatever is said."""

    name: str


ToolChoice = Literal["none", "auto", "required"] | ToolChoiceFunction


class TokenLimits(Struct, kw_only=True):
    """post_instructions: how many tokens of the conversation the model reads, its instructions not counted."""

    post_instructions: Annotated[int, Meta(ge=1)] | None = None


class RetentionRatio(Struct, tag_field="type", tag="retention_ratio", kw_only=True):
    """When the conversation is too long, so much of what may be read is kept of it, the newest."""

    retention_ratio: Annotated[float, Meta(ge=0, le=1)]
    token_limits: TokenLimits | None = None


Truncation = Literal["auto", "disabled"] | RetentionRatio
Included = Literal["item.input_audio_transcription.logprobs"]
LOGPROBS: Included = "item.input_audio_transcription.logprobs"


class SessionSettings(Struct, tag_field="type", tag="realtime", kw_only=True):
    """The `session` object of session.update, session.created and session.updated."""

    id: str | UnsetType = UNSET
    object: Literal["realtime.session"] | UnsetType = UNSET
    model: str | UnsetType | None = UNSET
    output_modalities: list[str] | UnsetType = UNSET
    instructions: str | UnsetType | None = UNSET
    audio: AudioSettings | UnsetType = UNSET
    tools: list[FunctionTool] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    max_output_tokens: TokenLimit | UnsetType = UNSET
    truncation: Truncation | UnsetType | None = UNSET
    reasoning: dict[str, Any] | UnsetType | None = UNSET
    tracing: str | dict[str, Any] | UnsetType | None = UNSET
    prompt: dict[str, Any] | UnsetType | None = UNSET
    include: list[Included] | UnsetType | None = UNSET
    omni: OmniSettings | UnsetType = UNSET


class ResponseSettings(Struct, kw_only=True):
    """The `response` object of response.create: it holds for one response."""

    output_modalities: list[str] | UnsetType = UNSET
    instructions: str | UnsetType | None = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET
    conversation: Literal["auto", "none"] | UnsetType = UNSET
    input: list[Item | ItemReference] | UnsetType = UNSET
    audio: AudioSettings | UnsetType = UNSET
    tools: list[FunctionTool] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType | None = UNSET
    max_output_tokens: TokenLimit | UnsetType = UNSET
    reasoning: dict[str, Any] | UnsetType | None = UNSET
    prompt: dict[str, Any] | UnsetType | None = UNSET
    omni: OmniSettings | UnsetType = UNSET


def merged(old: AnyStruct, new: AnyStruct | UnsetType) -> AnyStruct:
    """`old` with every field that `new` sets laid over it, objects field by field."""
    if new is UNSET:
        return old
    given = {name: getattr(new, name) for name in new.__struct_fields__ if getattr(new, name) is not UNSET}
    changes = {name: _laid_over(getattr(old, name), value) for name, value in given.items()}
    return msgspec.structs.replace(old, **changes)


def _laid_over(old: Any, new: Any) -> Any:
    if isinstance(new, AudioFormat):
        return new  # a rate belongs to its type
    if isinstance(old, Struct) and type(old) is type(new):
        return merged(old, new)
    if isinstance(new, dict) and isinstance(old, dict) and any(isinstance(value, Struct) for value in old.values()):
        return {**old, **{name: _laid_over(old.get(name), value) for name, value in new.items()}}
    return new
