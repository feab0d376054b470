"""Conversation items and their parts, as they stand on the wire."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from omnisdk.protocol.picture import Picture

Role = Literal["system", "user", "assistant"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
Detail = Literal["auto", "low", "high"]


class InputText(Struct, tag_field="type", tag="input_text", kw_only=True, omit_defaults=True):
    text: str


class InputAudio(Struct, tag_field="type", tag="input_audio", kw_only=True):
    """Speech. audio: in the session's input format, PCM16 at 24 kHz mono by default; left out when the server echoes
    the item. transcript: always on the wire, null while it is not known: clients of others insist on it.
    """

    audio: bytes | UnsetType | None = UNSET
    transcript: str | None = None


class InputImage(Struct, tag_field="type", tag="input_image", kw_only=True, omit_defaults=True):
    """A picture. image_url: PNG, JPEG or WebP, as a data URL in JSON; left out when the server echoes the item."""

    image_url: Picture | None = None
    detail: Detail | None = None


class OutputText(Struct, tag_field="type", tag="output_text", kw_only=True, omit_defaults=True):
    text: str


class OutputAudio(Struct, tag_field="type", tag="output_audio", kw_only=True, omit_defaults=True):
    audio: bytes | None = None
    transcript: str | None = None


ContentPart = InputText | InputAudio | InputImage | OutputText | OutputAudio


class ImageRef(Struct, kw_only=True):
    """A finished picture of the server's: its bytes are at `url`."""

    id: str
    url: str
    mime: str
    width: int
    height: int


class ItemOmni(Struct, kw_only=True, omit_defaults=True):
    """What an assistant's item holds beyond its text."""

    images: list[ImageRef] = []


class Message(Struct, tag_field="type", tag="message", kw_only=True, omit_defaults=True):
    """One message of a conversation. id: the client may choose it, else the server does."""

    role: Role
    content: list[ContentPart]
    id: str | None = None
    object: Literal["realtime.item"] | UnsetType = UNSET
    status: ItemStatus | None = None
    omni: ItemOmni | None = None


class FunctionCall(Struct, tag_field="type", tag="function_call", kw_only=True, omit_defaults=True):
    """The model asks for a tool. arguments: a JSON object. call_id: what its output names; else the server chooses."""

    name: str
    arguments: str
    id: str | None = None
    call_id: str | None = None
    object: Literal["realtime.item"] | UnsetType = UNSET
    status: ItemStatus | None = None


class FunctionCallOutput(Struct, tag_field="type", tag="function_call_output", kw_only=True, omit_defaults=True):
    """What the tool of call `call_id` gave, as text."""

    call_id: str
    output: str
    id: str | None = None
    object: Literal["realtime.item"] | UnsetType = UNSET
    status: ItemStatus | None = None


Item = Message | FunctionCall | FunctionCallOutput


class ItemReference(Struct, tag_field="type", tag="item_reference", kw_only=True):
    """An item of the conversation, in the input of a response of its own."""

    id: str
