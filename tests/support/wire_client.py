"""A client that speaks plain JSON, or MessagePack, so that tests see exactly what is on the wire."""

import base64
import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

Event = dict[str, Any]
TIMEOUT_S = 10.0
BYTES_PER_SAMPLE = 2


class WireClient:
    """Keeps all it received in `seen`. It sends JSON, whatever was negotiated, unless it is given bytes."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.binary = socket.subprotocol == "omni.v1+msgpack"
        self.seen: list[Event] = []

    def send(self, event: str | bytes | Event) -> None:
        self.socket.send(json.dumps(event) if isinstance(event, dict) else event)

    def receive(self) -> Event:
        frame = self.socket.recv(TIMEOUT_S)
        assert isinstance(frame, bytes) == self.binary, "only clients that negotiated it are sent binary frames"
        event: Event = json.loads(frame) if isinstance(frame, str) else msgspec.msgpack.decode(frame)
        self.seen.append(event)
        return event

    def until(self, kind: str) -> Event:
        """The next event of a type; what comes before it is kept in `seen`. An unexpected error fails the test."""
        while True:
            event = self.receive()
            if event["type"] == kind:
                return event
            assert event["type"] != "error", event

    def ask(self, event: str | bytes | Event, kind: str = "error") -> Event:
        self.send(event)
        return self.until(kind)

    def refused(self, event: str | bytes | Event) -> Event:
        """The error an event gets; the session is seen to live on after it."""
        error: Event = self.ask(event)["error"]
        assert self.ask({"type": "input_audio_buffer.clear"}, "input_audio_buffer.cleared")
        return error

    def say(self, text: str) -> Event:
        return self.ask({"type": "conversation.item.create", "item": text_item(text)}, "conversation.item.done")

    def ends_turns(self) -> None:
        """Turns end where this client commits, and nowhere else."""
        by_hand = {"audio": {"input": {"turn_detection": None}}}
        self.ask({"type": "session.update", "session": by_hand}, "session.updated")

    def speak(self, num_samples: int = 12_000) -> Event:
        self.send({"type": "input_audio_buffer.append", "audio": speech(num_samples)})
        return self.ask({"type": "input_audio_buffer.commit"}, "conversation.item.done")

    def answer(self, **response: Any) -> Event:
        """response.done of a new response."""
        done: Event = self.ask({"type": "response.create", "response": response}, "response.done")["response"]
        return done

    def types(self) -> list[str]:
        return [event["type"] for event in self.seen]

    def of_type(self, kind: str) -> list[Event]:
        return [event for event in self.seen if event["type"] == kind]


@contextlib.contextmanager
def connected(
    url: str, *, subprotocols: Sequence[str] = (), query: str = "", max_frame_bytes: int | None = None, **options: Any
) -> Iterator[WireClient]:
    """A client whose session.created has come."""
    offered = [Subprotocol(name) for name in subprotocols] or None
    address = f"{url}/v1/realtime{query}"
    with connect(address, subprotocols=offered, compression=None, max_size=max_frame_bytes, **options) as socket:
        client = WireClient(socket)
        client.until("session.created")
        yield client


def text_item(text: str) -> Event:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def image_item(encoded: bytes, mime: str = "image/png") -> Event:
    url = f"data:{mime};base64,{base64.b64encode(encoded).decode()}"
    return {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": url}]}


def speech(num_samples: int) -> str:
    """A ramp in base64 PCM16."""
    ramp = bytes(range(256)) * (num_samples * BYTES_PER_SAMPLE // 256 + 1)
    return base64.b64encode(ramp[: num_samples * BYTES_PER_SAMPLE]).decode()
