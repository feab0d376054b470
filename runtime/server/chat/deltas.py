"""A response's events as a chat completion's deltas, and deltas joined to a message.

A delta is what `choices[0].delta` holds. All there is to tell of an answer goes through here, streamed or not.
"""

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from omnisdk.protocol import events, response
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.items import FunctionCall, Message
from runtime.server.partials import PNG

Delta = dict[str, Any]
AUDIO_LIFE_S = 3600  # nothing is kept of it here; the field wants a number


@dataclass
class Deltas:
    """schema_name: of the answer's JSON Schema, if it has one: its call is the answer then, not a tool's.

    picture: the PNG of an asset. now: seconds since 1970.
    """

    picture: Callable[[str], bytes | None]
    now: int
    schema_name: str | None = None
    calls: bool = False  # whether the answer is a call
    transcript: str | None = None  # what the user was heard to say
    done: response.Response | None = None
    _audio_id: str = ""

    def of(self, event: ServerEvent) -> Iterator[Delta]:
        match event:
            case events.ResponseOutputItemAdded(item=FunctionCall() as call) if call.name != self.schema_name:
                self.calls = True
                function = {"name": call.name, "arguments": ""}
                yield {"tool_calls": [{"index": 0, "id": call.call_id, "type": "function", "function": function}]}
            case events.ResponseFunctionCallArgumentsDelta() if self.calls:
                yield {"tool_calls": [{"index": 0, "function": {"arguments": event.delta}}]}
            case events.ResponseFunctionCallArgumentsDelta() | events.ResponseOutputTextDelta():
                yield {"content": event.delta}
            case events.ResponseOutputAudioTranscriptDelta():
                yield self._audio(event.item_id, transcript=event.delta)
            case events.ResponseOutputAudioDelta():
                yield self._audio(event.item_id, data=base64.b64encode(event.delta).decode("ascii"))
            case events.ResponseOutputAudioDone():
                yield {"audio": {"expires_at": self.now + AUDIO_LIFE_S}}
            case events.ConversationItemInputAudioTranscriptionCompleted():
                self.transcript = event.transcript
            case events.ResponseOutputItemDone(item=Message() as message) if message.omni is not None:
                yield {"images": [self._image(index, ref.id) for index, ref in enumerate(message.omni.images)]}
            case events.ResponseDone():
                self.done = event.response

    def _audio(self, item_id: str, **told: str) -> Delta:
        """With its id the first time."""
        first, self._audio_id = not self._audio_id, f"audio_{item_id}"
        return {"audio": ({"id": self._audio_id} if first else {}) | told}

    def _image(self, index: int, asset_id: str) -> dict[str, Any]:
        png = self.picture(asset_id)
        assert png is not None  # it is made before any event names it
        url = f"data:{PNG};base64,{base64.b64encode(png).decode('ascii')}"
        return {"type": "image_url", "index": index, "image_url": {"url": url}}

    @property
    def finish_reason(self) -> str:
        if self.done is not None and self.done.status == "incomplete":
            return "length"
        return "tool_calls" if self.calls else "stop"


@dataclass
class Joined:
    """All deltas of one answer."""

    text: str = ""
    images: list[dict[str, Any]] = field(default_factory=list)
    call: dict[str, Any] | None = None
    spoken: dict[str, Any] = field(default_factory=dict)
    sound: list[bytes] = field(default_factory=list)

    def add(self, delta: Delta) -> None:
        self.text += delta.get("content", "")
        self.images += delta.get("images", [])
        for call in delta.get("tool_calls", []):
            self._call(call)
        audio = dict(delta.get("audio", {}))
        if "data" in audio:
            self.sound.append(base64.b64decode(audio.pop("data")))
        words = self.spoken.get("transcript", "") + audio.pop("transcript", "")
        if "audio" in delta:
            self.spoken |= {**audio, "transcript": words}

    def _call(self, call: dict[str, Any]) -> None:
        if self.call is None:
            self.call = {name: told for name, told in call.items() if name != "index"}
        else:
            self.call["function"]["arguments"] += call["function"]["arguments"]

    def message(self, audio: str | None) -> dict[str, Any]:
        """audio: the sound as a file in base64, if it is spoken."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None, "refusal": None}
        if self.call is not None:
            message["tool_calls"] = [self.call]
        elif not self.spoken:
            message["content"] = self.text
        if self.images:
            message["images"] = self.images
        if audio is not None:
            message["audio"] = {**self.spoken, "data": audio}
        return message
