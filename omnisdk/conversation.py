"""All that was said, as a value: server events and local additions make a new conversation, never change one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

import numpy as np

from omnisdk.audio_file import Pcm
from omnisdk.errors import OmniError
from omnisdk.media import Image, Speech
from omnisdk.protocol import events, items
from omnisdk.protocol.limits import MAX_IMAGE_BYTES, WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.picture import Picture

if TYPE_CHECKING:
    from omnisdk.response import Response

Role = Literal["system", "user", "assistant"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


@dataclass(frozen=True)
class Text:
    """Written words. In a Canvas: "{mask}" where the model fills in `gap` tokens; max_tokens: how long it may get."""

    text: str = ""
    max_tokens: int | None = None
    gap: int = 1

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class ToolCall:
    """The model asks for a tool. arguments: a JSON object."""

    name: str
    arguments: str
    call_id: str

    def __str__(self) -> str:
        return f"{self.name}({self.arguments})"


@dataclass(frozen=True)
class ToolResult:
    """What the tool of a call gave."""

    call_id: str
    output: str

    def __str__(self) -> str:
        return self.output


Part = Text | Speech | Image | ToolCall | ToolResult
PartLike = str | Text | Speech | Image | ToolCall | ToolResult


@dataclass(frozen=True)
class Item:
    """One message: who said it and its parts in order."""

    id: str
    role: Role
    parts: tuple[Part, ...]
    status: ItemStatus = "completed"

    def __str__(self) -> str:
        return f"{self.role}: {' + '.join(str(part) for part in self.parts) or '(nothing)'}"

    def _repr_html_(self) -> str:
        return Conversation(items=(self,))._repr_html_()


@dataclass(frozen=True)
class Conversation:
    """A value: every method returns a new conversation, so keeping the old one is a branch.

    chat = Conversation(system="Be brief.").user("what is this?", Image("cat.png"))
    """

    system: str | None = None
    items: tuple[Item, ...] = ()

    def user(self, *parts: PartLike) -> Conversation:
        """With one more item, of the user."""
        return self.add(new_item("user", *parts))

    def assistant(self, *parts: PartLike) -> Conversation:
        """With one more item, of the assistant."""
        return self.add(new_item("assistant", *parts))

    def add(self, addition: Item | Response) -> Conversation:
        """With one more item at the end; an item with a known id takes the place of the old one."""
        item = addition if isinstance(addition, Item) else getattr(addition, "item", None)
        if not isinstance(item, Item):
            raise OmniError(f"{addition!r} cannot be added to a conversation; give a Response or an Item")
        if self.item(item.id) is None:
            return replace(self, items=(*self.items, item))
        return replace(self, items=tuple(item if old.id == item.id else old for old in self.items))

    def without(self, item_id: str) -> Conversation:
        """The same less the item of this id, if it is there."""
        return replace(self, items=tuple(item for item in self.items if item.id != item_id))

    def edited(self, item: Item | str, *parts: PartLike) -> Conversation:
        """With other parts in an item, or in the one of this id. Raises OmniError if there is none."""
        item_id = item if isinstance(item, str) else item.id
        known = self.item(item_id)
        if known is None:
            ids = ", ".join(one.id for one in self.items) or "none"
            raise OmniError(f"there is no item {item_id!r} to edit; there are {ids}")
        return self.add(replace(known, parts=new_item(known.role, *parts).parts))

    def save(self, path: str | Path) -> Path:
        """Write it, whole or not at all: to a folder, media beside a JSON file, or into one file, `chat.json`.

        Raises OmniError.
        """
        from omnisdk.saving import save

        return save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Conversation:
        """What `save` wrote. Raises OmniError."""
        from omnisdk.saving import load

        return load(path)

    def item(self, item_id: str) -> Item | None:
        """The item of this id."""
        return next((item for item in self.items if item.id == item_id), None)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self.items)

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> Conversation: ...
    def __getitem__(self, at: int | slice) -> Item | Conversation:
        """One item, or a conversation of some of them: `chat[-1]`, `chat[:2]`."""
        return replace(self, items=self.items[at]) if isinstance(at, slice) else self.items[at]

    def __str__(self) -> str:
        lines = [f"system: {self.system}"] if self.system else []
        return "\n".join([*lines, *(str(item) for item in self.items)])

    def _repr_html_(self) -> str:
        from omnisdk.notebook import conversation_html

        return conversation_html(self)


def new_item(role: Role, *parts: PartLike) -> Item:
    """An item of words, speech and pictures with a fresh id. Raises OmniError if there is none of them."""
    if not parts:
        raise OmniError("an item needs at least one part; give text, Speech or Image")
    alone = [part for part in parts if isinstance(part, ToolCall | ToolResult)]
    if alone and len(parts) > 1:
        raise OmniError(f"a {type(alone[0]).__name__} is an item of its own; send it alone")
    return Item(f"item_{secrets.token_hex(8)}", role, tuple(_part(part) for part in parts))


def reduce(conversation: Conversation, event: events.ServerEvent) -> Conversation:
    """The conversation after one server event; the same object if the event says nothing about items."""
    match event:
        case events.ConversationItemAdded() | events.ConversationItemDone():
            return _with_wire_item(conversation, event.item)
        case events.ConversationItemDeleted():
            return conversation.without(event.item_id)
        case events.ConversationItemInputAudioTranscriptionCompleted():
            return _with_transcript(conversation, event.item_id, event.transcript)
        case events.ResponseOutputItemAdded() | events.ResponseOutputItemDone():
            return _with_wire_item(conversation, event.item)
        case events.OmniImageDone() if event.b64 is not None:
            return _with_picture(conversation, event.item_id, Image(event.b64))
        case events.ResponseOutputAudioDelta():
            return _with_sound(conversation, event.item_id, event.delta)
        case events.ConversationItemTruncated():
            known = conversation.item(event.item_id)
            return conversation if known is None else conversation.add(as_heard(known, event.audio_end_ms))
    return conversation


def item_to_wire(item: Item) -> items.Item:
    """The item as it is sent. Of the assistant only the words, written or spoken: a client cannot say the rest."""
    for part in item.parts:
        if isinstance(part, ToolCall):
            return items.FunctionCall(id=item.id, name=part.name, arguments=part.arguments, call_id=part.call_id)
        if isinstance(part, ToolResult):
            return items.FunctionCallOutput(id=item.id, call_id=part.call_id, output=part.output)
    if item.role == "assistant":
        said: list[items.ContentPart] = [items.OutputText(text=words) for words in spoken_words(item)]
    else:
        said = [_part_to_wire(part) for part in item.parts]
    return items.Message(id=item.id, role=item.role, content=said)


def spoken_words(item: Item) -> list[str]:
    """The words of an item's parts: what is written, and the transcripts of what is said."""
    words = (_words(part) for part in item.parts)
    return [text for text in words if text]


def _words(part: Part) -> str | None:
    if isinstance(part, Text):
        return part.text
    return part.transcript if isinstance(part, Speech) else None


def item_from_wire(message: items.Item) -> Item:
    """The item as the server tells it; media that it does not echo are left out."""
    status = message.status or "completed"
    if isinstance(message, items.FunctionCall):
        call = ToolCall(message.name, message.arguments, message.call_id or "")
        return Item(message.id or "", "assistant", (call,), status)
    if isinstance(message, items.FunctionCallOutput):
        return Item(message.id or "", "user", (ToolResult(message.call_id, message.output),), status)
    parts = (_part_from_wire(part) for part in message.content)
    return Item(message.id or "", message.role, tuple(part for part in parts if part is not None), status)


def _part_to_wire(part: Part) -> items.ContentPart:
    match part:
        case Text():
            return items.InputText(text=part.text)
        case Speech():
            pcm = part.resampled(WIRE_SAMPLE_RATE_HZ).pcm.astype("<i2").tobytes()
            return items.InputAudio(audio=pcm)
        case Image():
            return items.InputImage(image_url=Picture(part.encoded(MAX_IMAGE_BYTES)))
        case _:
            raise OmniError(f"{type(part).__name__} is an item of its own; send it alone")


def _part_from_wire(part: items.ContentPart) -> Part | None:
    match part:
        case items.InputText() | items.OutputText():
            return Text(part.text)
        case items.InputAudio() | items.OutputAudio() if part.audio:
            return Speech.said(_samples(part.audio), WIRE_SAMPLE_RATE_HZ, part.transcript)
        case items.OutputAudio() if part.transcript:
            return Text(part.transcript)  # its sound came before
        case items.InputImage() if part.image_url:
            return Image(part.image_url)
    return None


def _with_wire_item(conversation: Conversation, wire: items.Item) -> Conversation:
    """What the server knows of an item, over what is known here: the media themselves stay as they are."""
    fresh = item_from_wire(wire)
    known = conversation.item(fresh.id)
    if known is None or not isinstance(wire, items.Message):
        return conversation.add(fresh)
    media = tuple(part for part in known.parts if not isinstance(part, Text))
    texts = tuple(part for part in fresh.parts if isinstance(part, Text))
    if known.role == "assistant" and texts:
        words = " ".join(text.text for text in texts)
        spoken = any(isinstance(part, Speech) for part in media)
        parts = tuple(_transcribed(part, words) for part in media) if spoken else (*texts, *media)
        return conversation.add(replace(known, parts=parts, status=fresh.status))
    return conversation.add(replace(known, status=fresh.status))


def _with_transcript(conversation: Conversation, item_id: str, transcript: str) -> Conversation:
    known = conversation.item(item_id)
    if known is None:
        return conversation
    return conversation.add(replace(known, parts=tuple(_transcribed(part, transcript) for part in known.parts)))


def _with_picture(conversation: Conversation, item_id: str, image: Image) -> Conversation:
    known = conversation.item(item_id) or Item(item_id, "assistant", (), "in_progress")
    return conversation.add(replace(known, parts=(*known.parts, image)))


def _with_sound(conversation: Conversation, item_id: str, pcm: bytes) -> Conversation:
    """With the next piece of what the assistant says."""
    known = conversation.item(item_id) or Item(item_id, "assistant", (), "in_progress")
    before = [part.pcm for part in known.parts if isinstance(part, Speech)]
    speech = Speech.said(np.concatenate([*before, _samples(pcm)]), WIRE_SAMPLE_RATE_HZ)
    others = (part for part in known.parts if not isinstance(part, Speech))
    return conversation.add(replace(known, parts=(speech, *others)))


def as_heard(item: Item, heard_ms: int) -> Item:
    """With what was heard of a spoken answer, and the same share of its words."""
    parts = (_first_ms(part, heard_ms) if isinstance(part, Speech) else part for part in item.parts)
    return replace(item, parts=tuple(parts))


def _first_ms(speech: Speech, heard_ms: int) -> Speech:
    heard = speech.pcm[: heard_ms * speech.sample_rate_hz // 1000]
    words = (speech.transcript or "").split()
    share = len(heard) / max(len(speech.pcm), 1)
    return Speech.said(heard, speech.sample_rate_hz, " ".join(words[: int(len(words) * share)]) or None)


def _samples(pcm: bytes) -> Pcm:
    return np.frombuffer(pcm, "<i2").astype(np.int16)


def _transcribed(part: Part, transcript: str) -> Part:
    return part.with_transcript(transcript) if isinstance(part, Speech) else part


def _part(part: PartLike) -> Part:
    if isinstance(part, str):
        return Text(part)
    if isinstance(part, Text | Speech | Image | ToolCall | ToolResult):
        return part
    raise OmniError(
        f"{type(part).__name__} cannot be said; give text, Speech(...) or Image(...), and a Canvas to fill(...)"
    )
