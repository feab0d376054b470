"""The rules of a session, as a state machine without I/O: settings, conversation, input buffer, active response.

Each method is one client event; it changes the state and returns what follows from it, or raises ProtocolError and
leaves the state as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import UNSET, Struct
from numpy.typing import NDArray

from omnisdk.protocol import errors, limits
from omnisdk.protocol.audio import PCM, Encoding, encoding_of, pcm_of, speech_of
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.input_buffer import InputBuffer, check_length
from omnisdk.protocol.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    ItemReference,
    Message,
    OutputAudio,
    OutputText,
)
from omnisdk.protocol.picture import check_picture
from omnisdk.protocol.settings import (
    DEFAULT_OMNI,
    LOGPROBS,
    PLAIN_OUTPUT,
    SPOKEN_OUTPUT,
    AudioInput,
    AudioOutput,
    AudioSettings,
    OmniSettings,
    OutputModality,
    ResponseSettings,
    ServerVad,
    SessionSettings,
    ToolChoiceFunction,
    as_server_vad,
    merged,
)

OUTPUT_METADATA = "omni_output"  # how a client without the extension says what an answer may hold
PARTS_OF_ROLE: dict[str, tuple[type, ...]] = {
    "system": (InputText,),
    "user": (InputText, InputAudio, InputImage),
    "assistant": (OutputText, OutputAudio),
}


@dataclass(frozen=True)
class Placed:
    """An item and the one it stands behind."""

    item: Item
    previous_item_id: str | None


@dataclass(frozen=True)
class Committed:
    """A turn made of the input buffer. pcm: (samples,) int16 at `rate_hz`."""

    placed: Placed
    pcm: NDArray[np.int16]
    rate_hz: int


def new_session_settings(session_id: str, model: str, *, spoken: bool = False) -> SessionSettings:
    """What session.created announces. spoken: whether answers are, as clients that know no extension expect it."""
    return SessionSettings(
        id=session_id,
        object="realtime.session",
        model=model,
        output_modalities=["audio" if spoken else "text"],
        instructions="",
        audio=AudioSettings(
            input=AudioInput(format=PCM.format, noise_reduction=None, transcription=None, turn_detection=None),
            output=AudioOutput(format=PCM.format),
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
        self.settings: SessionSettings = settings
        self.opted_in: bool = opted_in
        self.items: list[Item] = []
        self.active_response_id: str | None = None
        self.side_response_ids: set[str] = set()  # of responses outside of the conversation
        self._new_id = new_id
        self._speaks = speaks
        self._modalities_named = False  # by the client
        self.max_speech_s = max_speech_s
        self.input: InputBuffer = InputBuffer(max_speech_s)
        self.image_waits: bool = False  # whether a picture was shown that the next turn takes with it
        self._spoken_ms: dict[str, float] = {}  # of each spoken answer, how much was sent
        self._heard_ms: dict[str, int] = {}  # of those that were cut short, how much the user heard
        if opted_in:
            self.settings = merged(settings, SessionSettings(omni=DEFAULT_OMNI, output_modalities=["text"]))

    # Settings

    def update(self, wanted: SessionSettings) -> SessionSettings:
        """Lay `wanted` over the settings. Naming `omni` opts in; its output and output_modalities are kept in line."""
        if wanted.omni is not UNSET:
            self._check_output(wanted.omni, "session.omni.output")
            _check_belongs_to_one(wanted.omni)
        self._check_modalities(wanted.output_modalities, "session.output_modalities")
        _check_audio(wanted.audio, "session.audio")
        _check_prompt(wanted.prompt, "session")
        _check_tools(merged(self.settings, wanted), "session")
        fixed = SessionSettings(id=self.settings.id, object=self.settings.object, model=self.settings.model)
        opts_in = wanted.omni is not UNSET and not self.opted_in
        before = self.settings
        if opts_in:
            named = self.settings.output_modalities if self._modalities_named else UNSET
            omni = _spoken_or_not(DEFAULT_OMNI, named)
            before = merged(before, SessionSettings(omni=omni))
        changed = _in_line(merged(merged(before, wanted), fixed), wanted)
        _check_told(changed, "session")
        self.opted_in = self.opted_in or opts_in
        self._modalities_named = self._modalities_named or wanted.output_modalities is not UNSET
        self.settings = changed
        return self.settings

    @property
    def omni(self) -> OmniSettings:
        return self._omni_for(UNSET)

    def _omni_for(self, modalities: list[str] | msgspec.UnsetType) -> OmniSettings:
        """The session's, as `modalities` have it where they are given."""
        if self.settings.omni is not UNSET:
            return _spoken_or_not(self.settings.omni, modalities)
        plain = merged(DEFAULT_OMNI, OmniSettings(output=PLAIN_OUTPUT))
        return _spoken_or_not(plain, self.settings.output_modalities if modalities is UNSET else modalities)

    def answer_omni(self, wanted: ResponseSettings) -> OmniSettings:
        """The extension's settings for one response: the session's, under the response's output_modalities, under
        metadata's, under the response's own."""
        settings = self._omni_for(wanted.output_modalities)
        named = (wanted.metadata or {}).get(OUTPUT_METADATA) if wanted.metadata is not UNSET else None
        if named is not None:
            settings = merged(settings, OmniSettings(output=_named_output(named)))
        settings = merged(settings, wanted.omni)
        self._check_output(settings, "response.omni.output")
        return settings

    def says_no_output(self, wanted: ResponseSettings) -> bool:
        """Whether the client names nowhere in the extension's words what an answer may hold."""
        metadata = {} if wanted.metadata is UNSET else wanted.metadata or {}
        return not self.opted_in and wanted.omni is UNSET and OUTPUT_METADATA not in metadata

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
    def input_encoding(self) -> Encoding:
        """Of all audio that comes."""
        return _encoding(self.settings.audio, "input")

    def output_encoding(self, wanted: ResponseSettings) -> Encoding:
        """Of the sound of one response."""
        audio = wanted.audio
        own = audio is not UNSET and audio.output is not UNSET and audio.output.format is not UNSET
        return _encoding(audio if own else self.settings.audio, "output")

    def speed(self, wanted: ResponseSettings) -> float:
        """Of what one response says, beside the model's own."""
        for audio in (wanted.audio, self.settings.audio):
            if audio is not UNSET and audio.output is not UNSET and audio.output.speed is not UNSET:
                return audio.output.speed
        return 1.0

    @property
    def transcription_wanted(self) -> bool:
        """Whether what is said is to be written down even where no answer does."""
        audio = self.settings.audio
        return audio is not UNSET and audio.input is not UNSET and bool(audio.input.transcription)

    @property
    def logprobs_told(self) -> bool:
        """Whether a transcript tells how sure it is."""
        include = self.settings.include
        return include is not UNSET and include is not None and LOGPROBS in include

    @property
    def turn_detection(self) -> ServerVad | None:
        """How turns are detected; None where the client says when they end."""
        audio = self.settings.audio
        wanted = audio.input.turn_detection if audio is not UNSET and audio.input is not UNSET else None
        return as_server_vad(wanted) if isinstance(wanted, Struct) else None

    @property
    def idle_timeout_ms(self) -> int | None:
        """After how much silence behind an answer the server speaks on; None for never."""
        return None if self.turn_detection is None else self.turn_detection.idle_timeout_ms

    def decode_audio(self, audio: bytes) -> NDArray[np.int16]:
        """(samples,) of an append, at the rate of `input_encoding`."""
        return pcm_of(audio, "audio", self.input_encoding)

    def append_audio(self, audio: bytes) -> None:
        """Speech to the end of the buffer, which keeps what it had when this is refused.

        Too long a turn is told once; the rest of it is dropped until the buffer is committed or cleared.
        """
        self.input.append(self.decode_audio(audio), self.input_encoding.rate_hz)

    def clear_audio(self) -> None:
        self.input.clear()

    def commit_audio(self, item_id: str | None = None, until_ms: int | None = None) -> Committed:
        """Make a user item of the buffer, of what came before `until_ms` of it, and leave the rest."""
        self._check_room()
        rate_hz, pcm = self.input.rate_hz, self.input.take(until_ms)
        item = Message(role="user", content=self._with_image([InputAudio()]), id=item_id or self._new_id("item"))
        return Committed(self._place(item, None), pcm, rate_hz)

    def _with_image(self, content: list[ContentPart]) -> list[ContentPart]:
        """A turn of the user with the picture that waits for it, if it shows none itself."""
        if not self.image_waits or any(isinstance(part, InputImage) for part in content):
            return content
        self.image_waits = False
        return [*content, InputImage()]

    def commit_silence(self, item_id: str) -> Committed:
        """A user item of what the buffer holds, little as it is: nothing was said."""
        self._check_room()
        rate_hz, pcm = self.input.rate_hz, self.input.take_all()
        item = Message(role="user", content=self._with_image([InputAudio()]), id=item_id)
        return Committed(self._place(item, None), pcm, rate_hz)

    # Conversation

    def check_item(self, item: Item, previous_item_id: str | None) -> None:
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
        match item:
            case Message():
                self.check_message(item)
            case FunctionCall():
                _check_arguments(item.arguments)
            case FunctionCallOutput():
                self._check_call_id(item.call_id)
        _check_told(_as_told(item), "item")

    def check_message(self, item: Message, path: str = "item") -> None:
        """Whether it holds what its role may say. path: where it stands in its event."""
        if not item.content:
            raise ProtocolError(
                "the item has no content; give at least one part", code=errors.INVALID_VALUE, param=f"{path}.content"
            )
        for index, part in enumerate(item.content):
            self._check_part(item.role, part, f"{path}.content[{index}]")

    def _check_call_id(self, call_id: str) -> None:
        calls = [str(item.call_id) for item in self.items if isinstance(item, FunctionCall)]
        if call_id not in calls:
            known = f"there are {', '.join(calls[-5:])}" if calls else "no function was called yet"
            raise ProtocolError(
                f"an output for call {call_id[:80]!r} came; {known}; give the call_id of a function_call item",
                code=errors.UNKNOWN_CALL_ID,
                param="item.call_id",
            )

    def add_item(self, item: Item, previous_item_id: str | None = None) -> Placed:
        """Put an item behind another: None is the end of the conversation, "root" its beginning.

        It is kept, and told, without the bytes of its speech and pictures.
        """
        self.check_item(item, previous_item_id)
        named = msgspec.structs.replace(_as_told(item), id=item.id or self._new_id("item"))
        if isinstance(named, Message) and named.role == "user":
            named = msgspec.structs.replace(named, content=self._with_image(named.content))
        if isinstance(named, FunctionCall):
            named = msgspec.structs.replace(named, call_id=named.call_id or self._new_id("call"))
        return self._place(named, previous_item_id)

    def holds(self, item_id: str) -> bool:
        """Whether the conversation has an item of this id."""
        return self._index(item_id) is not None

    def retrieve_item(self, item_id: str) -> Item:
        return self.items[self._known_index(item_id, errors.RETRIEVE_INVALID_ITEM_ID)]

    def delete_item(self, item_id: str) -> None:
        del self.items[self._known_index(item_id, errors.DELETE_INVALID_ITEM_ID)]
        self._spoken_ms.pop(item_id, None)
        self._heard_ms.pop(item_id, None)

    def note_spoken(self, item_id: str, duration_ms: float) -> None:
        """So much more of an answer's sound was sent. Counts for answers of the conversation alone."""
        if self._index(item_id) is None:
            return
        self._spoken_ms[item_id] = self._spoken_ms.get(item_id, 0.0) + duration_ms

    def spoken_ms(self, item_id: str) -> float:
        """How much of an answer's sound was sent."""
        return self._spoken_ms.get(item_id, 0.0)

    def truncate_item(self, item_id: str, content_index: int, audio_end_ms: int) -> int:
        """Keep of a spoken answer what was heard, its words in proportion. How many milliseconds that is: at most
        what was sent."""
        index = self._known_index(item_id, errors.TRUNCATE_INVALID_ITEM_ID)
        item = self.items[index]
        if not isinstance(item, Message) or item_id not in self._spoken_ms:
            raise ProtocolError(
                f"item {item_id!r} cannot be truncated: it is no answer that was spoken; delete the item instead",
                code=errors.TRUNCATE_INVALID_ITEM_ID,
                param="item_id",
            )
        if content_index:
            raise ProtocolError(
                f"content_index {content_index} came; the sound of an answer is its part 0",
                code=errors.INVALID_VALUE,
                param="content_index",
            )
        self._heard_ms[item_id] = min(audio_end_ms, int(self._spoken_ms[item_id]))
        self.items[index] = self._as_heard(item)
        return self._heard_ms[item_id]

    def _as_heard(self, item: Message) -> Message:
        item_id = str(item.id)
        heard_ms = self._heard_ms.get(item_id)
        if heard_ms is None:
            return item
        share = heard_ms / max(self._spoken_ms[item_id], 1.0)
        content = [_cut(part, share) if isinstance(part, OutputAudio) else part for part in item.content]
        return msgspec.structs.replace(item, content=content)

    def _check_room(self) -> None:
        if len(self.items) >= limits.MAX_ITEMS:
            raise ProtocolError(
                f"the conversation holds {len(self.items)} items, the most there may be; delete some",
                code=errors.CONVERSATION_TOO_LARGE,
            )

    def _place(self, item: Item, previous_item_id: str | None) -> Placed:
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
        if isinstance(part, OutputAudio) and part.audio is not None:
            raise _unsupported("the sound of an earlier answer is not read; send its transcript alone", f"{path}.audio")
        if isinstance(part, InputText | OutputText) and len(part.text) > limits.MAX_TEXT_LENGTH:
            raise ProtocolError(
                f"{len(part.text)} characters of text came; a part takes at most {limits.MAX_TEXT_LENGTH}; shorten it",
                code=errors.INVALID_VALUE,
                param=f"{path}.text",
            )
        if isinstance(part, InputAudio):
            encoding = self.input_encoding
            seconds = len(speech_of(part.audio or None, f"{path}.audio", encoding)) / encoding.rate_hz
            check_length(seconds, self.max_speech_s, f"{path}.audio")
        if isinstance(part, InputImage):
            check_picture(part.image_url, f"{path}.image_url")

    # Response

    def check_response(self, wanted: ResponseSettings) -> None:
        """Whether a response may begin now, with these settings."""
        side = is_side(wanted)
        if side:
            self.check_side_room()
        if not side and self.active_response_id is not None:
            raise ProtocolError(
                f"response {self.active_response_id} is still being made; wait for its response.done or cancel it",
                code=errors.RESPONSE_ALREADY_ACTIVE,
            )
        self._check_room()
        self._check_modalities(wanted.output_modalities, "response.output_modalities")
        _check_tools(self.with_own(wanted), "response")
        _check_audio(wanted.audio, "response.audio")
        _check_prompt(wanted.prompt, "response")
        _check_metadata(wanted.metadata, "response.metadata")

    def check_fork(self, metadata: dict[str, str] | None) -> None:
        """Whether an answer may be gone on with twice."""
        self.check_side_room()
        _check_metadata(metadata, "metadata")

    def check_side_room(self) -> None:
        """Whether one more response may be made outside of the conversation."""
        if len(self.side_response_ids) >= limits.MAX_SIDE_RESPONSES:
            raise ProtocolError(
                f"{len(self.side_response_ids)} responses outside of the conversation are being made, the most there "
                "may be; wait for one to end",
                code=errors.TOO_MANY_RESPONSES,
            )

    def with_own(self, wanted: ResponseSettings) -> SessionSettings:
        """The session's settings, under the response's own tools and choice."""
        return merged(self.settings, SessionSettings(tools=wanted.tools, tool_choice=wanted.tool_choice))

    def read_by(self, wanted: ResponseSettings) -> list[Item]:
        """What a response answers: the conversation, or its own input, where references stand for its items."""
        if wanted.input is UNSET:
            return list(self.items)
        read: list[Item] = []
        for index, item in enumerate(wanted.input):
            if isinstance(item, ItemReference):
                known = self._index(item.id)
                if known is None:
                    raise ProtocolError(
                        f"the conversation has no item {item.id!r} to refer to; give the id of one of its "
                        f"{len(self.items)} items",
                        code=errors.INVALID_VALUE,
                        param=f"response.input[{index}].id",
                    )
                read.append(self.items[known])
            else:
                if isinstance(item, Message):
                    self.check_message(item, f"response.input[{index}]")
                read.append(msgspec.structs.replace(item, id=self._new_id("item")))
        return read

    def begin_response(self, side: bool = False) -> str:
        """The id of the response that is active from now on; `side`: outside of the conversation, beside others."""
        response_id = self._new_id("resp")
        if side:
            self.side_response_ids.add(response_id)
        else:
            self.active_response_id = response_id
        return response_id

    def cancel_response(self, response_id: str | None) -> str:
        """The id of the response to cancel. A request: it stays active until `end_response`."""
        return self._active(response_id, "Cancellation failed", errors.CANCEL_NOT_ACTIVE)

    def finalize_response(self, response_id: str) -> str:
        """The id of the response to finish early. It too stays active until `end_response`."""
        return self._active(response_id, "Finalizing failed", errors.FINALIZE_NOT_ACTIVE)

    def tune_response(self, response_id: str) -> str:
        """The id of the response whose rest is to be made otherwise."""
        return self._active(response_id, "Tuning failed", errors.TUNE_NOT_ACTIVE)

    def end_response(self, response_id: str | None = None) -> None:
        """response_id: None for the active one."""
        if response_id in self.side_response_ids:
            self.side_response_ids.discard(str(response_id))
        else:
            self.active_response_id = None

    def begin_answer(self, item: Item) -> Placed:
        """The item of the active response, still empty, at the end of the conversation."""
        return self._place(item, None)

    def settle_answer(self, item: Item) -> Placed:
        """The assistant's item as it ended; it keeps its place, if the client did not delete it meanwhile."""
        index = self._index(str(item.id))
        if index is None:
            return Placed(item, None)
        self.items[index] = self._as_heard(item) if isinstance(item, Message) else item
        return Placed(item, self.items[index - 1].id if index else None)

    def note_transcript(self, item_id: str, content_index: int, transcript: str) -> None:
        """What was heard in a speech part."""
        index = self._index(item_id)
        item = None if index is None else self.items[index]
        if isinstance(item, Message):
            part = item.content[content_index]
            assert isinstance(part, InputAudio)
            part.transcript = transcript

    def _active(self, response_id: str | None, failure: str, code: str) -> str:
        active = self.active_response_id
        if response_id in self.side_response_ids:
            return str(response_id)
        if active is None and response_id is None:
            raise ProtocolError(f"{failure}: no active response found", code=code)
        if active is None:
            raise ProtocolError(
                f"{failure}: no active response found; {str(response_id)[:80]!r} has ended or was never begun",
                code=code,
                param="response_id",
            )
        if response_id not in (None, active):
            raise ProtocolError(
                f"{failure}: {str(response_id)[:80]!r} is not the active response; that is {active}",
                code=code,
                param="response_id",
            )
        return active


def _as_told(item: Item) -> Item:
    """Without the bytes of its speech and pictures."""
    if not isinstance(item, Message):
        return item
    return msgspec.structs.replace(item, content=[_without_media(part) for part in item.content])


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


def _check_metadata(metadata: dict[str, str] | msgspec.UnsetType | None, param: str) -> None:
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


def _check_belongs_to_one(omni: OmniSettings) -> None:
    """Whether a session may set this. Raises ProtocolError."""
    for name in ("given", "changes", "canvas"):
        if getattr(omni, name) is not UNSET:
            raise _unsupported(
                f"{name} came for a session; it belongs to one response; give it in response.create",
                f"session.omni.{name}",
            )


def _check_audio(audio: AudioSettings | msgspec.UnsetType, path: str) -> None:
    if audio is UNSET:
        return
    if audio.input is not UNSET and audio.input.format is not UNSET:
        encoding_of(audio.input.format, f"{path}.input.format")
    if audio.output is not UNSET and audio.output.format is not UNSET:
        encoding_of(audio.output.format, f"{path}.output.format")


def _check_prompt(prompt: object, path: str) -> None:
    if prompt is not UNSET and prompt is not None:
        raise _unsupported(
            "a prompt came; no prompts are stored here; send its words as instructions", f"{path}.prompt"
        )


def _encoding(audio: AudioSettings | msgspec.UnsetType, side: str) -> Encoding:
    """Of settings that were checked."""
    own = UNSET if audio is UNSET else getattr(audio, side)
    return PCM if own is UNSET or own.format is UNSET else encoding_of(own.format, f"session.audio.{side}.format")


def _check_tools(settings: SessionSettings, path: str) -> None:
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


def _check_arguments(arguments: str) -> None:
    try:
        msgspec.json.decode(arguments, type=dict)
    except (msgspec.DecodeError, RecursionError):
        raise ProtocolError(
            f'arguments {arguments[:80]!r} came; they are a JSON object as text; send "{{}}" for none',
            code=errors.INVALID_VALUE,
            param="item.arguments",
        ) from None


def is_side(wanted: ResponseSettings) -> bool:
    """Whether a response stands outside of the conversation."""
    return wanted.conversation == "none"


def _cut(part: OutputAudio, share: float) -> OutputAudio:
    """With the first `share` of its words."""
    words = (part.transcript or "").split()
    return msgspec.structs.replace(part, transcript=" ".join(words[: int(len(words) * share)]))


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
