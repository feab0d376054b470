"""What POST /v1/chat/completions takes. Fields that could change nothing here are passed over; their comments say so.

Those that would change the answer and cannot are refused where they ask for it, in `check_supported`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.picture import Picture
from omnisdk.protocol.settings import OmniSettings

MAX_MESSAGES = limits.MAX_ITEMS - 2  # an answer is an item too
Text = Annotated[str, Meta(max_length=limits.MAX_TEXT_LENGTH)]


class ImageUrl(Struct, kw_only=True):
    """url: a data URL of PNG, JPEG or WebP."""

    url: Picture
    detail: str | None = None


class AudioFile(Struct, kw_only=True):
    """data: base64 of a recording; what it is, the bytes themselves tell."""

    data: bytes
    format: str | None = None


class TextContent(Struct, tag_field="type", tag="text", kw_only=True):
    text: Text


class ImageContent(Struct, tag_field="type", tag="image_url", kw_only=True):
    image_url: ImageUrl
    index: int | None = None  # as our own answers number them


class AudioContent(Struct, tag_field="type", tag="input_audio", kw_only=True):
    input_audio: AudioFile


class RefusalContent(Struct, tag_field="type", tag="refusal", kw_only=True):
    refusal: Text


class System(Struct, tag_field="role", tag="system", kw_only=True):
    content: Text | list[TextContent]
    name: str | None = None


class Developer(Struct, tag_field="role", tag="developer", kw_only=True):
    content: Text | list[TextContent]
    name: str | None = None


class User(Struct, tag_field="role", tag="user", kw_only=True):
    content: Text | Annotated[list[TextContent | ImageContent | AudioContent], Meta(min_length=1)]
    name: str | None = None


class CalledFunction(Struct, kw_only=True):
    name: str
    arguments: str


class ToolCall(Struct, tag_field="type", tag="function", kw_only=True):
    id: str
    function: CalledFunction
    index: int | None = None


class Assistant(Struct, tag_field="role", tag="assistant", kw_only=True):
    """An earlier answer, as it came. audio: its transcript counts. images: pictures of it."""

    content: Text | list[TextContent | RefusalContent] | None = None
    tool_calls: list[ToolCall] | None = None
    images: list[ImageContent] | None = None
    audio: dict[str, Any] | None = None
    refusal: Text | None = None
    name: str | None = None
    annotations: Any = None
    function_call: None = None
    omni: Any = None


class Tool(Struct, tag_field="role", tag="tool", kw_only=True):
    """What the function of call `tool_call_id` gave."""

    tool_call_id: str
    content: Text | list[TextContent]


ChatMessage = System | Developer | User | Assistant | Tool


class Function(Struct, kw_only=True):
    """As `FunctionTool` of the protocol."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class OfferedTool(Struct, tag_field="type", tag="function", kw_only=True):
    function: Function


class NamedFunction(Struct, kw_only=True):
    name: str


class ChosenTool(Struct, tag_field="type", tag="function", kw_only=True):
    function: NamedFunction


class FreeText(Struct, tag_field="type", tag="text", kw_only=True):
    pass


class Schema(Struct, kw_only=True):
    """schema: JSON Schema of an object."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class JsonSchema(Struct, tag_field="type", tag="json_schema", kw_only=True):
    json_schema: Schema


class StreamOptions(Struct, kw_only=True):
    include_usage: bool = False
    include_obfuscation: bool = False  # passed over


class AudioOptions(Struct, kw_only=True):
    """voice: the model has one, whatever is named."""

    format: Literal["wav", "flac", "mp3", "opus", "pcm16"]
    voice: Any = None


class ChatRequest(Struct, kw_only=True):
    """omni: ours, as in `response.create`; `omni.output` goes before `modalities`.

    modalities: None for text, and a picture where one is asked for. temperature, top_p: of the reply's text.
    """

    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=MAX_MESSAGES)]
    model: str | None = None
    modalities: Annotated[list[Literal["text", "audio", "image"]], Meta(min_length=1)] | None = None
    audio: AudioOptions | None = None
    tools: list[OfferedTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    response_format: FreeText | JsonSchema | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=limits.MAX_TEMPERATURE)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    n: int | None = None
    omni: OmniSettings | None = None
    # Refused where they ask for something.
    stop: Any = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    logit_bias: dict[str, float] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    functions: Any = None
    function_call: Any = None
    prediction: Any = None
    web_search_options: Any = None
    # Passed over: they change no answer, or only how others keep it.
    parallel_tool_calls: bool | None = None
    metadata: Any = None
    moderation: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    reasoning_effort: Any = None
    safety_identifier: Any = None
    service_tier: Any = None
    store: Any = None
    user: Any = None
    verbosity: Any = None


NOT_DONE = {
    "stop": "an answer is made as a whole, not word by word; cut it where you read it",
    "logprobs": "there are none; the extension's canvas deltas tell how sure each token is",
    "top_logprobs": "there are none; the extension's canvas deltas tell how sure each token is",
    "logit_bias": "tokens cannot be biased; leave it out",
    "frequency_penalty": "use omni.generation.text.repeat_penalty",
    "presence_penalty": "use omni.generation.text.repeat_penalty",
    "functions": "use tools",
    "function_call": "use tool_choice",
    "prediction": "use omni.given to have words stand in the answer",
    "web_search_options": "there is no search; offer it as a tool",
}


def check_supported(wanted: ChatRequest) -> None:
    """Raises ProtocolError for what would change the answer and cannot be done."""
    for name, advice in NOT_DONE.items():
        value = getattr(wanted, name)
        if value not in (None, False, 0, {}, [], "none", "auto"):
            raise _unsupported(f"{name} is not supported: {advice}", name)
    if wanted.n not in (None, 1):
        raise _unsupported(f"n {wanted.n} came; one answer is made at a time; ask again for another", "n")
    if wanted.stream_options is not None and not wanted.stream:
        raise _unsupported("stream_options came without stream; send stream: true or leave them out", "stream_options")
    if isinstance(wanted.response_format, JsonSchema) and wanted.tools and wanted.tool_choice != "none":
        raise _unsupported(
            "response_format json_schema came with tools, and an answer is one or the other; "
            'send tool_choice "none", or leave one of them out',
            "response_format",
        )
    _check_audio(wanted)


def _check_audio(wanted: ChatRequest) -> None:
    spoken = "audio" in (wanted.modalities or ())
    if spoken and wanted.audio is None:
        raise _unsupported('modalities "audio" came without audio; send audio: {format, voice}', "audio")
    if spoken and wanted.stream and wanted.audio is not None and wanted.audio.format != "pcm16":
        raise _unsupported(
            f"audio.format {wanted.audio.format!r} came with stream; only pcm16 (24 kHz, mono) is streamed",
            "audio.format",
        )


def _unsupported(message: str, param: str) -> ProtocolError:
    return ProtocolError(message, code=errors.UNSUPPORTED_VALUE, param=param)
