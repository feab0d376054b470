"""The rules of a session, as a state machine without I/O: settings, conversation, input buffer, active response.

Each method is one client event; it changes the state and returns what follows from it, or raises ProtocolError and
leaves the state as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import msgspec
from msgspec import UNSET

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import ContentPart, InputAudio, InputImage, InputText, Message, OutputText
from omnisdk.protocol.limits import BYTES_PER_SECOND, WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.media import image_bytes_of, pcm_from_base64, pcm_of
from omnisdk.protocol.settings import (
    DEFAULT_OMNI,
    PLAIN_OUTPUT,
    SPOKEN_OUTPUT,
    AudioFormat,
    AudioInput,
    AudioOutput,
    AudioSettings,
    OmniSettings,
    OutputModality,
    ResponseSettings,
    SessionSettings,
    merged,
)

WIRE_FORMAT = AudioFormat(type="audio/pcm", rate=WIRE_SAMPLE_RATE_HZ)
OUTPUT_METADATA = "omni_output"  # how a client without the extension says what an answer may hold
PARTS_OF_ROLE: dict[str, tuple[type, ...]] = {
    "system": (InputText,),
    "user": (InputText, InputAudio, InputImage),
    "assistant": (OutputText,),
}


@dataclass(frozen=True)
class Placed:
    """An item and the one it stands behind."""

    item: Message
    previous_item_id: str | None


@dataclass(frozen=True)
class Committed:
    """A turn made of the input buffer. pcm: 16-bit little endian at the wire's rate."""

    placed: Placed
    pcm: bytes


def new_session_settings(session_id: str, model: str) -> SessionSettings:
    """What session.created announces."""
    return SessionSettings(
        id=session_id,
        object="realtime.session",
        model=model,
        output_modalities=["text"],
        instructions="",
        audio=AudioSettings(
            input=AudioInput(format=WIRE_FORMAT, noise_reduction=None, transcription=None, turn_detection=None),
            output=AudioOutput(format=WIRE_FORMAT),
        ),
        tools=[],
        tool_choice="auto",
        max_output_tokens="inf",
        truncation="auto",
    )


class SessionRules:
    """One session's state.

    new_id: makes ids from a prefix. opted_in: whether the client takes omni.* events. speaks: whether the model does.
    max_speech_s: the longest spoken turn the model takes.
    """

    def __init__(
        self,
        settings: SessionSettings,
        new_id: Callable[[str], str],
        *,
        opted_in: bool = False,
        speaks: bool = False,
        max_speech_s: float = limits.MAX_SPEECH_S,
    ) -> None:
        self.settings = settings
        self.opted_in = opted_in
        self.items: list[Message] = []
        self.active_response_id: str | None = None
        self._new_id = new_id
        self._speaks = speaks
        self._max_speech_s = max_speech_s
        self._audio = bytearray()
        self._overflowed = False  # told once; what still comes of that turn is dropped
        if opted_in:
            self.settings = merged(settings, SessionSettings(omni=DEFAULT_OMNI))

    # Settings

    def update(self, wanted: SessionSettings) -> SessionSettings:
        """Lay `wanted` over the settings. Naming `omni` opts in; its output and output_modalities are kept in line."""
        if wanted.omni is not UNSET:
            self._check_output(wanted.omni, "session.omni.output")
        self._check_modalities(wanted.output_modalities, "session.output_modalities")
        _check_audio(wanted.audio, "session.audio")
        _check_tools(wanted.tools, "session.tools")
        fixed = SessionSettings(id=self.settings.id, object=self.settings.object, model=self.settings.model)
        opts_in = wanted.omni is not UNSET and not self.opted_in
        before = (
            merged(self.settings, SessionSettings(omni=self._starting_omni(DEFAULT_OMNI))) if opts_in else self.settings
        )
        changed = _in_line(merged(merged(before, wanted), fixed), wanted)
        _check_told(changed, "session")
        self.opted_in = self.opted_in or opts_in
        self.settings = changed
        return self.settings

    @property
    def omni(self) -> OmniSettings:
        if self.settings.omni is not UNSET:
            return self.settings.omni
        return self._starting_omni(merged(DEFAULT_OMNI, OmniSettings(output=PLAIN_OUTPUT)))

    def _starting_omni(self, default: OmniSettings) -> OmniSettings:
        """The defaults, as what the client said of output_modalities has them."""
        return _spoken_or_not(default, self.settings.output_modalities)

    def answer_omni(self, wanted: ResponseSettings) -> OmniSettings:
        """The extension's settings for one response: the session's, under the response's output_modalities, under
        metadata's, under the response's own."""
        settings = _spoken_or_not(self.omni, wanted.output_modalities)
        named = (wanted.metadata or {}).get(OUTPUT_METADATA) if wanted.metadata is not UNSET else None
        if named is not None:
            settings = merged(settings, OmniSettings(output=_named_output(named)))
        settings = merged(settings, wanted.omni)
        self._check_output(settings, "response.omni.output")
        return settings

    def _check_modalities(self, modalities: list[str] | msgspec.UnsetType, param: str) -> None:
        allowed = (["text"], ["audio"]) if self._speaks else (["text"],)
        if modalities is UNSET or modalities in allowed:
            return
        told = (
            'this model answers in text or in audio with its transcript; send output_modalities ["text"] or ["audio"]'
            if self._speaks
            else 'this model answers in text (and pictures, through omni); send output_modalities ["text"]'
        )
        raise ProtocolError(f"output_modalities {modalities} came; {told}", code=errors.INVALID_VALUE, param=param)

    def _check_output(self, settings: OmniSettings, param: str) -> None:
        if settings.output is not UNSET and "speech" in settings.output and not self._speaks:
            raise _unsupported(
                f"output {', '.join(settings.output)} came; this model does not speak; leave speech out", param
            )

    # Input buffer

    @property
    def buffered_seconds(self) -> float:
        return len(self._audio) / BYTES_PER_SECOND

    def append_audio(self, audio: str) -> None:
        """Speech in base64 to the end of the buffer, which keeps what it had when this is refused.

        Too long a turn is told once; the rest of it is dropped until the buffer is committed or cleared.
        """
        if self._overflowed:
            return
        pcm = pcm_from_base64(audio, "audio")
        try:
            self._check_length(len(self._audio) + len(pcm), "audio")
        except ProtocolError:
            self._overflowed = True
            raise
        self._audio += pcm

    def clear_audio(self) -> None:
        self._audio.clear()
        self._overflowed = False

    def commit_audio(self) -> Committed:
        """Make a user item of the buffer and empty it."""
        if len(self._audio) < BYTES_PER_SECOND * limits.MIN_SPEECH_MS // 1000:
            raise ProtocolError(
                f"the input audio buffer holds {self.buffered_seconds * 1000:.0f} ms of audio; a turn takes at least "
                f"{limits.MIN_SPEECH_MS} ms; append more before you commit",
                code=errors.AUDIO_COMMIT_EMPTY,
            )
        self._check_room()
        item = Message(role="user", content=[InputAudio()], id=self._new_id("item"))
        placed, pcm = self._place(item, None), bytes(self._audio)
        self.clear_audio()
        return Committed(placed, pcm)

    def _check_length(self, num_bytes: int, param: str) -> None:
        seconds = num_bytes / BYTES_PER_SECOND
        if seconds > self._max_speech_s:
            raise ProtocolError(
                f"{seconds:.1f} s of audio came; a turn takes at most {self._max_speech_s:g} s; "
                "commit what is there, or clear the buffer and send a shorter recording",
                code=errors.AUDIO_TOO_LONG,
                param=param,
            )

    # Conversation

    def check_item(self, item: Message, previous_item_id: str | None) -> None:
        """Whether `add_item` would take it, so that costly decoding comes after."""
        if item.id is not None and self._index(item.id) is not None:
            raise ProtocolError(
                f"the conversation already has an item {item.id!r}; choose another id or leave it out",
                code=errors.DUPLICATE_ITEM_ID,
                param="item.id",
            )
        self._check_room()
        self._place_of(previous_item_id)
        if item.id is not None and len(item.id) > limits.MAX_ID_LENGTH:
            raise ProtocolError(
                f"an id of {len(item.id)} characters came; at most {limits.MAX_ID_LENGTH} are taken; shorten it",
                code=errors.INVALID_VALUE,
                param="item.id",
            )
        if not item.content:
            raise ProtocolError(
                "the item has no content; give at least one part", code=errors.INVALID_VALUE, param="item.content"
            )
        for index, part in enumerate(item.content):
            self._check_part(item.role, part, f"item.content[{index}]")
        _check_told([_without_media(part) for part in item.content], "item.content")

    def add_item(self, item: Message, previous_item_id: str | None = None) -> Placed:
        """Put an item behind another: None is the end of the conversation, "root" its beginning.

        It is kept, and told, without the bytes of its speech and pictures.
        """
        self.check_item(item, previous_item_id)
        content = [_without_media(part) for part in item.content]
        named = msgspec.structs.replace(item, id=item.id or self._new_id("item"), content=content)
        return self._place(named, previous_item_id)

    def retrieve_item(self, item_id: str) -> Message:
        return self.items[self._known_index(item_id, errors.RETRIEVE_INVALID_ITEM_ID)]

    def delete_item(self, item_id: str) -> None:
        del self.items[self._known_index(item_id, errors.DELETE_INVALID_ITEM_ID)]

    def truncate_item(self, item_id: str) -> NoReturn:
        raise ProtocolError(
            f"item {item_id!r} cannot be truncated: not supported by this model, whose answers are made whole and "
            "sent at once; delete the item instead",
            code=errors.TRUNCATE_UNSUPPORTED,
            param="item_id",
        )

    def _check_room(self) -> None:
        if len(self.items) >= limits.MAX_ITEMS:
            raise ProtocolError(
                f"the conversation holds {len(self.items)} items, the most there may be; delete some",
                code=errors.CONVERSATION_TOO_LARGE,
            )

    def _place(self, item: Message, previous_item_id: str | None) -> Placed:
        place = self._place_of(previous_item_id)
        kept = msgspec.structs.replace(item, object="realtime.item", status=item.status or "completed")
        self.items.insert(place, kept)
        return Placed(kept, self.items[place - 1].id if place else None)

    def _place_of(self, previous_item_id: str | None) -> int:
        if previous_item_id is None:
            return len(self.items)
        if previous_item_id == "root":
            return 0
        index = self._index(previous_item_id)
        if index is None:
            raise ProtocolError(
                f"there is no item {previous_item_id!r} to stand behind; give the id of an item, "
                '"root" for the beginning, or nothing for the end',
                code=errors.INVALID_PREVIOUS_ITEM_ID,
                param="previous_item_id",
            )
        return index + 1

    def _index(self, item_id: str) -> int | None:
        return next((index for index, item in enumerate(self.items) if item.id == item_id), None)

    def _known_index(self, item_id: str, code: str) -> int:
        index = self._index(item_id)
        if index is None:
            raise ProtocolError(
                f"the conversation has no item {item_id!r}; it has {len(self.items)} items; give the id of one of them",
                code=code,
                param="item_id",
            )
        return index

    def _check_part(self, role: str, part: ContentPart, path: str) -> None:
        if not isinstance(part, PARTS_OF_ROLE[role]):
            allowed = ", ".join(_tag(kind) for kind in PARTS_OF_ROLE[role])
            raise ProtocolError(
                f"a {role} item cannot hold {_tag(type(part))}; it takes {allowed}",
                code=errors.INVALID_VALUE,
                param=f"{path}.type",
            )
        if isinstance(part, InputText | OutputText) and len(part.text) > limits.MAX_TEXT_LENGTH:
            raise ProtocolError(
                f"{len(part.text)} characters of text came; a part takes at most {limits.MAX_TEXT_LENGTH}; shorten it",
                code=errors.INVALID_VALUE,
                param=f"{path}.text",
            )
        if isinstance(part, InputAudio):
            self._check_length(len(pcm_of(part, path)), f"{path}.audio")
        if isinstance(part, InputImage):
            image_bytes_of(part, path)

    # Response

    def check_response(self, wanted: ResponseSettings) -> None:
        """Whether a response may begin now, with these settings."""
        if self.active_response_id is not None:
            raise ProtocolError(
                f"response {self.active_response_id} is still being made; wait for its response.done or cancel it",
                code=errors.RESPONSE_ALREADY_ACTIVE,
            )
        self._check_room()
        self._check_modalities(wanted.output_modalities, "response.output_modalities")
        _check_tools(wanted.tools, "response.tools")
        _check_audio(wanted.audio, "response.audio")
        _check_told(wanted.metadata, "response.metadata")
        if wanted.input is not UNSET:
            raise _unsupported(
                "a response with its own input is not supported; add items to the conversation and leave input out",
                "response.input",
            )
        if wanted.conversation is not UNSET and wanted.conversation != "auto":
            raise _unsupported(
                f'conversation {wanted.conversation!r} is not supported; send "auto" or leave it out',
                "response.conversation",
            )

    def begin_response(self) -> str:
        """The id of the response that is active from now on."""
        self.active_response_id = self._new_id("resp")
        return self.active_response_id

    def cancel_response(self, response_id: str | None) -> str:
        """The id of the response to cancel. A request: it stays active until `end_response`."""
        return self._active(response_id, "Cancellation failed", errors.CANCEL_NOT_ACTIVE)

    def finalize_response(self, response_id: str) -> str:
        """The id of the response to finish early. It too stays active until `end_response`."""
        return self._active(response_id, "Finalizing failed", errors.FINALIZE_NOT_ACTIVE)

    def tune_response(self, response_id: str) -> str:
        """The id of the response whose rest is to be made otherwise."""
        return self._active(response_id, "Tuning failed", errors.TUNE_NOT_ACTIVE)

    def end_response(self) -> None:
        self.active_response_id = None

    def begin_answer(self, item_id: str) -> Placed:
        """The assistant's item of the active response, still empty, at the end of the conversation."""
        return self._place(Message(role="assistant", content=[], id=item_id, status="in_progress"), None)

    def settle_answer(self, item: Message) -> Placed:
        """The assistant's item as it ended; it keeps its place, if the client did not delete it meanwhile."""
        index = self._index(str(item.id))
        if index is None:
            return Placed(item, None)
        self.items[index] = item
        return Placed(item, self.items[index - 1].id if index else None)

    def note_transcript(self, item_id: str, content_index: int, transcript: str) -> None:
        """What was heard in a speech part."""
        index = self._index(item_id)
        if index is not None:
            part = self.items[index].content[content_index]
            assert isinstance(part, InputAudio)
            part.transcript = transcript

    def _active(self, response_id: str | None, failure: str, code: str) -> str:
        active = self.active_response_id
        if active is None:
            raise ProtocolError(f"{failure}: no active response found", code=code)
        if response_id not in (None, active):
            raise ProtocolError(
                f"{failure}: {response_id!r} is not the active response; that is {active}",
                code=code,
                param="response_id",
            )
        return active


def _without_media(part: ContentPart) -> ContentPart:
    if isinstance(part, InputAudio):
        return InputAudio(transcript=part.transcript)
    return InputImage(detail=part.detail) if isinstance(part, InputImage) else part


def _check_told(told: object, param: str) -> None:
    """Whether what will be told back fits in a frame that every client takes."""
    size = 0 if told is UNSET else len(msgspec.json.encode(told))
    if size > limits.MAX_TOLD_BYTES:
        raise ProtocolError(
            f"{param} takes {size} bytes; at most {limits.MAX_TOLD_BYTES} are taken; shorten it",
            code=errors.INVALID_VALUE,
            param=param,
        )


def _check_audio(audio: AudioSettings | msgspec.UnsetType, path: str) -> None:
    if audio is UNSET or audio.input is UNSET:
        return
    heard = audio.input
    if heard.turn_detection is not UNSET and heard.turn_detection is not None:
        raise _unsupported(
            f"turn_detection {heard.turn_detection.get('type')!r} is not supported; send turn_detection null, "
            "then input_audio_buffer.commit and response.create at the end of speech",
            f"{path}.input.turn_detection",
        )
    if heard.format is not UNSET and (heard.format.type, heard.format.rate) not in (
        ("audio/pcm", UNSET),
        ("audio/pcm", WIRE_SAMPLE_RATE_HZ),
    ):
        rate = "" if heard.format.rate is UNSET else f" at {heard.format.rate} Hz"
        raise _unsupported(
            f"audio format {heard.format.type!r}{rate} is not supported; send audio/pcm at {WIRE_SAMPLE_RATE_HZ} Hz",
            f"{path}.input.format",
        )


def _check_tools(tools: object, param: str) -> None:
    if tools is not UNSET and tools:
        raise _unsupported("this model calls no tools; send tools []", param)


def _in_line(settings: SessionSettings, wanted: SessionSettings) -> SessionSettings:
    """omni.output and output_modalities saying the same: what `wanted` names of them holds, omni.output before."""
    if settings.omni is UNSET:
        return settings
    named = wanted.omni is not UNSET and wanted.omni.output is not UNSET
    omni = settings.omni if named else _spoken_or_not(settings.omni, wanted.output_modalities)
    modalities = ["audio" if "speech" in _output(omni) else "text"]
    return msgspec.structs.replace(settings, omni=omni, output_modalities=modalities)


def _spoken_or_not(omni: OmniSettings, modalities: list[str] | msgspec.UnsetType) -> OmniSettings:
    """As `modalities` of the plain protocol have it: answers that are spoken, or that are not."""
    output = _output(omni)
    if modalities is UNSET or (modalities == ["audio"]) == ("speech" in output):
        return omni
    silent: list[OutputModality] = [kind for kind in output if kind != "speech"]
    return merged(omni, OmniSettings(output=SPOKEN_OUTPUT if modalities == ["audio"] else silent or ["text"]))


def _output(omni: OmniSettings) -> Sequence[OutputModality]:
    assert omni.output is not UNSET
    return omni.output


def _named_output(names: str) -> list[OutputModality]:
    try:
        return msgspec.convert([name.strip() for name in names.split(",")], list[OutputModality])
    except msgspec.ValidationError:
        raise ProtocolError(
            f'metadata {OUTPUT_METADATA} is {names!r}; it takes "text", "image", "speech" or several: "image,text"',
            code=errors.INVALID_VALUE,
            param=f"response.metadata.{OUTPUT_METADATA}",
        ) from None


def _unsupported(message: str, param: str) -> ProtocolError:
    return ProtocolError(message, code=errors.UNSUPPORTED_VALUE, param=param)


def _tag(kind: type) -> str:
    return str(kind.__struct_config__.tag)  # type: ignore[attr-defined]
