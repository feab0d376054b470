"""The rules of a session, as a state machine without I/O: settings, conversation, input buffer, active response.

Each method is one client event; it changes the state and returns what follows from it, or raises ProtocolError and
leaves the state as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
from msgspec import UNSET, Struct
from numpy.typing import NDArray

from omnisdk.protocol import errors, limits
from omnisdk.protocol.active_responses import ActiveResponses
from omnisdk.protocol.audio import PCM, Encoding, encoding_of, pcm_of
from omnisdk.protocol.checks import (
    check_arguments,
    check_audio,
    check_belongs_to_one,
    check_metadata,
    check_part,
    check_prompt,
    check_told,
    check_tools,
    unsupported,
)
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.input_buffer import InputBuffer
from omnisdk.protocol.item_list import ItemList, Placed
from omnisdk.protocol.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    Item,
    ItemReference,
    Message,
)
from omnisdk.protocol.outputs import OUTPUT_METADATA, in_line, named_output, spoken_or_not
from omnisdk.protocol.settings import (
    DEFAULT_OMNI,
    LOGPROBS,
    PLAIN_OUTPUT,
    AudioInput,
    AudioOutput,
    AudioSettings,
    OmniSettings,
    ResponseSettings,
    ServerVad,
    SessionSettings,
    as_server_vad,
    merged,
)

# What a session with the extension begins with where the client names nothing else.
EXTENDED = SessionSettings(
    omni=DEFAULT_OMNI, output_modalities=["text"], audio=AudioSettings(input=AudioInput(turn_detection=None))
)


@dataclass(frozen=True)
class Committed:
    """A turn made of the input buffer. pcm: (samples,) int16 at `rate_hz`."""

    placed: Placed
    pcm: NDArray[np.int16]
    rate_hz: int


def new_session_settings(
    session_id: str, model: str, *, spoken: bool = False, listens: bool = False
) -> SessionSettings:
    """What session.created announces. spoken: whether answers are, as clients that know no extension expect it.
    listens: whether the server hears when a turn ends, as they expect it too.
    """
    turns = ServerVad() if listens else None
    return SessionSettings(
        id=session_id,
        object="realtime.session",
        model=model,
        output_modalities=["audio" if spoken else "text"],
        instructions="",
        audio=AudioSettings(
            input=AudioInput(format=PCM.format, noise_reduction=None, transcription=None, turn_detection=turns),
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
        self.settings: SessionSettings = merged(settings, EXTENDED) if opted_in else settings
        self.opted_in: bool = opted_in
        self.conversation: ItemList = ItemList()
        self.responses: ActiveResponses = ActiveResponses(new_id)
        self._new_id = new_id
        self._speaks = speaks
        self._named = SessionSettings()  # by the client
        self.max_speech_s = max_speech_s
        self.input: InputBuffer = InputBuffer(max_speech_s)
        self.image_waits: bool = False  # whether a picture was shown that the next turn takes with it

    # Settings

    def update(self, wanted: SessionSettings) -> SessionSettings:
        """Lay `wanted` over the settings. Naming `omni` opts in; its output and output_modalities are kept in line."""
        if wanted.omni is not UNSET:
            self._check_output(wanted.omni, "session.omni.output")
            check_belongs_to_one(wanted.omni)
        self._check_modalities(wanted.output_modalities, "session.output_modalities")
        check_audio(wanted.audio, "session.audio")
        check_prompt(wanted.prompt, "session")
        check_tools(merged(self.settings, wanted), "session")
        fixed = SessionSettings(id=self.settings.id, object=self.settings.object, model=self.settings.model)
        opts_in = wanted.omni is not UNSET and not self.opted_in
        before = self.settings
        if opts_in:
            before = in_line(merged(merged(before, EXTENDED), self._named), self._named)
        changed = in_line(merged(merged(before, wanted), fixed), wanted)
        check_told(changed, "session")
        self.opted_in = self.opted_in or opts_in
        self.settings, self._named = changed, merged(self._named, wanted)
        return self.settings

    @property
    def omni(self) -> OmniSettings:
        return self._omni_for(UNSET)

    def _omni_for(self, modalities: list[str] | msgspec.UnsetType) -> OmniSettings:
        """The session's, as `modalities` have it where they are given."""
        if self.settings.omni is not UNSET:
            return spoken_or_not(self.settings.omni, modalities)
        plain = merged(DEFAULT_OMNI, OmniSettings(output=PLAIN_OUTPUT))
        return spoken_or_not(plain, self.settings.output_modalities if modalities is UNSET else modalities)

    def answer_omni(self, wanted: ResponseSettings) -> OmniSettings:
        """The extension's settings for one response: the session's, under the response's output_modalities, under
        metadata's, under the response's own."""
        settings = self._omni_for(wanted.output_modalities)
        named = (wanted.metadata or {}).get(OUTPUT_METADATA) if wanted.metadata is not UNSET else None
        if named is not None:
            settings = merged(settings, OmniSettings(output=named_output(named)))
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
            raise unsupported(
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
        self.conversation.check_room()
        rate_hz, pcm = self.input.rate_hz, self.input.take(until_ms)
        item = Message(role="user", content=self._with_image([InputAudio()]), id=item_id or self._new_id("item"))
        return Committed(self.conversation.place(item, None), pcm, rate_hz)

    def _with_image(self, content: list[ContentPart]) -> list[ContentPart]:
        """A turn of the user with the picture that waits for it, if it shows none itself."""
        if not self.image_waits or any(isinstance(part, InputImage) for part in content):
            return content
        self.image_waits = False
        return [*content, InputImage()]

    def commit_silence(self, item_id: str) -> Committed:
        """A user item of what the buffer holds, little as it is: nothing was said."""
        self.conversation.check_room()
        rate_hz, pcm = self.input.rate_hz, self.input.take_all()
        item = Message(role="user", content=self._with_image([InputAudio()]), id=item_id)
        return Committed(self.conversation.place(item, None), pcm, rate_hz)

    # Conversation

    def check_item(self, item: Item, previous_item_id: str | None) -> None:
        """Whether `add_item` would take it, so that costly decoding comes after."""
        self.conversation.check_new(item.id)
        self.conversation.check_room()
        self.conversation.place_of(previous_item_id)
        match item:
            case Message():
                self.check_message(item)
            case FunctionCall():
                check_arguments(item.arguments)
            case FunctionCallOutput():
                self.conversation.check_called(item.call_id)
        check_told(_as_told(item), "item")

    def check_message(self, item: Message, path: str = "item") -> None:
        """Whether it holds what its role may say. path: where it stands in its event."""
        if not item.content:
            raise ProtocolError(
                "the item has no content; give at least one part", code=errors.INVALID_VALUE, param=f"{path}.content"
            )
        for index, part in enumerate(item.content):
            check_part(item.role, part, self.input_encoding, self.max_speech_s, f"{path}.content[{index}]")

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
        return self.conversation.place(named, previous_item_id)

    # Response

    def check_response(self, wanted: ResponseSettings) -> None:
        """Whether a response may begin now, with these settings."""
        self.responses.check_room(side=is_side(wanted))
        self.conversation.check_room()
        self._check_modalities(wanted.output_modalities, "response.output_modalities")
        check_tools(self.with_own(wanted), "response")
        check_audio(wanted.audio, "response.audio")
        check_prompt(wanted.prompt, "response")
        check_metadata(wanted.metadata, "response.metadata")

    def check_fork(self, metadata: dict[str, str] | None) -> None:
        """Whether an answer may be gone on with twice."""
        self.responses.check_room(side=True)
        check_metadata(metadata, "metadata")

    def with_own(self, wanted: ResponseSettings) -> SessionSettings:
        """The session's settings, under the response's own tools and choice."""
        return merged(self.settings, SessionSettings(tools=wanted.tools, tool_choice=wanted.tool_choice))

    def read_by(self, wanted: ResponseSettings) -> list[Item]:
        """What a response answers: the conversation, or its own input, where references stand for its items."""
        if wanted.input is UNSET:
            return list(self.conversation.items)
        read: list[Item] = []
        for index, item in enumerate(wanted.input):
            if isinstance(item, ItemReference):
                known = self.conversation.index(item.id)
                if known is None:
                    raise ProtocolError(
                        f"the conversation has no item {item.id!r} to refer to; give the id of one of its "
                        f"{len(self.conversation.items)} items",
                        code=errors.INVALID_VALUE,
                        param=f"response.input[{index}].id",
                    )
                read.append(self.conversation.items[known])
            else:
                if isinstance(item, Message):
                    self.check_message(item, f"response.input[{index}]")
                read.append(msgspec.structs.replace(item, id=self._new_id("item")))
        return read


def _as_told(item: Item) -> Item:
    """Without the bytes of its speech and pictures."""
    if not isinstance(item, Message):
        return item
    return msgspec.structs.replace(item, content=[_without_media(part) for part in item.content])


def _without_media(part: ContentPart) -> ContentPart:
    if isinstance(part, InputAudio):
        return InputAudio(transcript=part.transcript)
    return InputImage(detail=part.detail) if isinstance(part, InputImage) else part


def _encoding(audio: AudioSettings | msgspec.UnsetType, side: str) -> Encoding:
    """Of settings that were checked."""
    own = UNSET if audio is UNSET else getattr(audio, side)
    return PCM if own is UNSET or own.format is UNSET else encoding_of(own.format, f"session.audio.{side}.format")


def is_side(wanted: ResponseSettings) -> bool:
    """Whether a response stands outside of the conversation."""
    return wanted.conversation == "none"
