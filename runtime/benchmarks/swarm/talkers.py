"""What locust plays: users with a live session each, who speak, ask, read the answer, delete what was said, and pause.

Run by `omni bench swarm` in an environment that has locust and nothing of ours. Times are from the end of speech.
"""

import array
import base64
import json
import math
import time
from typing import Any

from locust import User, between, task
from websocket import WebSocket, WebSocketException, create_connection

RATE_HZ, CHUNK_S, NUM_CHUNKS, TIMEOUT_S = 24_000, 0.1, 10, 60
KIND = "realtime"
# Written answers, and turns that end where the client says.
SETTINGS = {
    "type": "session.update",
    "session": {"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}},
}
# What clients rely on, in this order; and what the report calls the time until it came.
ORDER = {
    "input_audio_buffer.committed": "1 first event",
    "conversation.item.added": None,
    "response.created": None,
    "response.output_item.added": None,
    "response.content_part.added": None,
    "response.output_text.delta": "2 first word",
    "response.output_text.done": None,
    "response.content_part.done": None,
    "response.output_item.done": None,
    "response.done": "3 answer",
}


def spoken_chunk() -> str:
    """A tenth of a second of a tone, as it is appended."""
    samples = (round(8000 * math.sin(0.1 * index)) for index in range(round(RATE_HZ * CHUNK_S)))
    pcm = base64.b64encode(array.array("h", samples).tobytes()).decode()
    return json.dumps({"type": "input_audio_buffer.append", "audio": pcm})


class Talker(User):  # type: ignore[misc]  # locust is not there when types are checked
    wait_time = between(0, 1)

    def on_start(self) -> None:
        began = time.perf_counter()
        self.chunk = spoken_chunk()
        self.socket: WebSocket = create_connection(f"{self.host}/v1/realtime", timeout=TIMEOUT_S)
        self.receive()
        self.socket.send(json.dumps(SETTINGS))
        self.receive()
        self.note("0 session opened", began)

    def on_stop(self) -> None:
        self.socket.close()

    @task  # type: ignore[untyped-decorator]
    def turn(self) -> None:
        """What goes wrong is a failure in the report, and the user begins anew."""
        try:
            self.say_and_hear()
        except (WebSocketException, OSError, ValueError) as problem:
            self.note("3 answer", time.perf_counter(), problem)
            self.socket.close()
            self.on_start()

    def say_and_hear(self) -> None:
        """Raises ValueError for events in another order than clients rely on."""
        for _ in range(NUM_CHUNKS):
            self.socket.send(self.chunk)
            time.sleep(CHUNK_S)  # gevent's
        spoken = time.perf_counter()
        self.socket.send('{"type": "input_audio_buffer.commit"}')
        self.socket.send('{"type": "response.create"}')
        items = self.answer(spoken)
        for item_id in items:
            began = time.perf_counter()
            self.socket.send(json.dumps({"type": "conversation.item.delete", "item_id": item_id}))
            self.receive()
            self.note("4 item deleted", began)

    def answer(self, spoken: float) -> list[str]:
        """The items that were added."""
        items, came, wanted = [], set[str](), list(ORDER)
        while "response.done" not in came:
            event = self.receive()
            kind = event["type"]
            if kind == "conversation.item.added":
                items.append(event["item"]["id"])
            if kind in ORDER and kind not in came:
                if kind != wanted[len(came)]:
                    raise ValueError(f"{kind} came before {wanted[len(came)]}")
                came.add(kind)
                if ORDER[kind] is not None:
                    self.note(ORDER[kind], spoken)
        return items

    def receive(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.socket.recv())
        if event["type"] == "error":
            raise ValueError(event["error"]["message"])
        return event

    def note(self, name: str | None, began: float, problem: Exception | None = None) -> None:
        self.environment.events.request.fire(
            request_type=KIND,
            name=name,
            response_time=1000 * (time.perf_counter() - began),
            response_length=0,
            exception=problem,
            context={},
        )
