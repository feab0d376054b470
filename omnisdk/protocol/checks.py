"""What may stand in settings and items, whatever a session holds: each raises ProtocolError for what may not."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from omnisdk.protocol import errors, limits
from omnisdk.protocol.audio import Encoding, encoding_of, speech_of
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.input_buffer import check_length
from omnisdk.protocol.items import ContentPart, InputAudio, InputImage, InputText, OutputAudio, OutputText
from omnisdk.protocol.picture import check_picture
from omnisdk.protocol.settings import AudioSettings, OmniSettings, SessionSettings, ToolChoiceFunction

PARTS_OF_ROLE: dict[str, tuple[type, ...]] = {
    "system": (InputText,),
    "user": (InputText, InputAudio, InputImage),
    "assistant": (OutputText, OutputAudio),
}


def check_part(role: str, part: ContentPart, encoding: Encoding, max_speech_s: float, path: str) -> None:
    """encoding: of speech that comes. path: where the part stands in its event."""
    if not isinstance(part, PARTS_OF_ROLE[role]):
        allowed = ", ".join(_tag(kind) for kind in PARTS_OF_ROLE[role])
        raise ProtocolError(
            f"a {role} item cannot hold {_tag(type(part))}; it takes {allowed}",
            code=errors.INVALID_VALUE,
            param=f"{path}.type",
        )
    if isinstance(part, OutputAudio) and part.audio is not None:
        raise unsupported("the sound of an earlier answer is not read; send its transcript alone", f"{path}.audio")
    if isinstance(part, InputText | OutputText) and len(part.text) > limits.MAX_TEXT_LENGTH:
        raise ProtocolError(
            f"{len(part.text)} characters of text came; a part takes at most {limits.MAX_TEXT_LENGTH}; shorten it",
            code=errors.INVALID_VALUE,
            param=f"{path}.text",
        )
    if isinstance(part, InputAudio):
        seconds = len(speech_of(part.audio or None, f"{path}.audio", encoding)) / encoding.rate_hz
        check_length(seconds, max_speech_s, f"{path}.audio")
    if isinstance(part, InputImage):
        check_picture(part.image_url, f"{path}.image_url")


def check_told(told: object, param: str) -> None:
    """Whether what will be told back fits in a frame that every client takes."""
    size = 0 if told is UNSET else len(msgspec.json.encode(told))
    if size > limits.MAX_TOLD_BYTES:
        raise ProtocolError(
            f"{param} takes {size} bytes; at most {limits.MAX_TOLD_BYTES} are taken; shorten it",
            code=errors.INVALID_VALUE,
            param=param,
        )


def check_metadata(metadata: dict[str, str] | msgspec.UnsetType | None, param: str) -> None:
    pairs = metadata or {}
    if len(pairs) > limits.MAX_METADATA_PAIRS:
        raise ProtocolError(
            f"{len(pairs)} pairs came; metadata takes at most {limits.MAX_METADATA_PAIRS}; leave some out",
            code=errors.INVALID_VALUE,
            param=param,
        )
    for key, value in pairs.items():
        for what, text, most in (
            ("key", key, limits.MAX_METADATA_KEY_LENGTH),
            ("value", value, limits.MAX_METADATA_VALUE_LENGTH),
        ):
            if len(text) > most:
                raise ProtocolError(
                    f"key {key[:32]!r}: a {what} of {len(text)} characters came; metadata takes at most {most}; "
                    "shorten it",
                    code=errors.INVALID_VALUE,
                    param=param,
                )


def check_belongs_to_one(omni: OmniSettings) -> None:
    """Whether a session may set this. Raises ProtocolError."""
    for name in ("given", "changes", "canvas"):
        if getattr(omni, name) is not UNSET:
            raise unsupported(
                f"{name} came for a session; it belongs to one response; give it in response.create",
                f"session.omni.{name}",
            )


def check_audio(audio: AudioSettings | msgspec.UnsetType, path: str) -> None:
    if audio is UNSET:
        return
    if audio.input is not UNSET and audio.input.format is not UNSET:
        encoding_of(audio.input.format, f"{path}.input.format")
    if audio.output is not UNSET and audio.output.format is not UNSET:
        encoding_of(audio.output.format, f"{path}.output.format")


def check_prompt(prompt: object, path: str) -> None:
    if prompt is not UNSET and prompt is not None:
        raise unsupported("a prompt came; no prompts are stored here; send its words as instructions", f"{path}.prompt")


def check_tools(settings: SessionSettings, path: str) -> None:
    """Names that are unique, and a choice among them."""
    tools = [] if settings.tools is UNSET else settings.tools
    names = [tool.name for tool in tools]
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise ProtocolError(
            f"two tools are called {twice!r}; give each its own name", code=errors.INVALID_VALUE, param=f"{path}.tools"
        )
    choice = settings.tool_choice
    wrong = choice.name if isinstance(choice, ToolChoiceFunction) and choice.name not in names else None
    if wrong is not None or (choice == "required" and not names):
        came = f"tool_choice {wrong!r}" if wrong is not None else 'tool_choice "required"'
        given = f"the tools are {', '.join(names)}" if names else "there are no tools"
        raise ProtocolError(
            f'{came} came, and {given}; name one of them, or send "auto"',
            code=errors.INVALID_VALUE,
            param=f"{path}.tool_choice",
        )


def check_arguments(arguments: str) -> None:
    try:
        msgspec.json.decode(arguments, type=dict)
    except (msgspec.DecodeError, RecursionError):
        raise ProtocolError(
            f'arguments {arguments[:80]!r} came; they are a JSON object as text; send "{{}}" for none',
            code=errors.INVALID_VALUE,
            param="item.arguments",
        ) from None


def unsupported(message: str, param: str) -> ProtocolError:
    return ProtocolError(message, code=errors.UNSUPPORTED_VALUE, param=param)


def _tag(kind: type) -> str:
    return str(kind.__struct_config__.tag)  # type: ignore[attr-defined]
