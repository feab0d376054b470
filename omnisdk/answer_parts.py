"""The finished parts of an answer, gathered from its events: words, sound, pictures, calls, and what was heard."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Literal

import numpy as np

from omnisdk.conversation import Item, Text, ToolCall, item_from_wire
from omnisdk.media import Image, Speech
from omnisdk.protocol import events
from omnisdk.protocol import response as wire_response
from omnisdk.protocol.limits import WIRE_SAMPLE_RATE_HZ


class AnswerParts:
    """To be read once the answer has ended. asset_url: where a picture of the server's can be fetched."""

    def __init__(self, asset_url: Callable[[str], str]) -> None:
        self.item_id: str | None = None
        self.tool_calls: tuple[ToolCall, ...] = ()
        self.transcript: str | None = None  # of what the user said
        self._asset_url = asset_url
        self._pictures: list[bytes | str] = []  # PNG files, or where they are
        self._texts: list[str] = []
        self._sound = bytearray()  # 16-bit little-endian PCM at the wire's rate

    def take(self, event: events.ServerEvent) -> None:
        """One event of the answer."""
        match event:
            case events.OmniImageDone():
                self._pictures.append(event.b64 or self._asset_url(event.image.url))
            case events.ResponseOutputAudioDelta():
                self._sound += event.delta
            case events.ConversationItemInputAudioTranscriptionCompleted():
                self.transcript = event.transcript

    def end(self, ended: wire_response.Response) -> None:
        """What the server says of it at the end."""
        items = [item_from_wire(item) for item in ended.output]
        self.item_id = items[0].id if items else None
        self.tool_calls = tuple(part for item in items for part in item.parts if isinstance(part, ToolCall))
        self._texts = [part.text for item in items for part in item.parts if isinstance(part, Text)]

    def begin_anew(self) -> None:
        """What had come is forgotten."""
        self._pictures.clear()
        self._sound.clear()

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def has_pictures(self) -> bool:
        """Without fetching them."""
        return bool(self._pictures)

    @cached_property
    def speech(self) -> Speech | None:
        samples = np.frombuffer(bytes(self._sound), "<i2").astype(np.int16)
        return Speech.said(samples, WIRE_SAMPLE_RATE_HZ, self.text or None) if len(samples) else None

    @cached_property
    def images(self) -> list[Image]:
        return [Image(picture) for picture in self._pictures]

    def item(self, response_id: str | None, status: Literal["completed", "incomplete"]) -> Item:
        """As an item of a conversation."""
        words = (Text(self.text),) if self.text else ()
        said = words if self.speech is None else (self.speech,)
        parts = (*said, *self.images, *self.tool_calls)
        return Item(self.item_id or f"item_of_{response_id}", "assistant", parts, status)
