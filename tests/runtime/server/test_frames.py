"""No frame of the server's reaches 1 MiB, where most websocket libraries stop, whatever is said and answered."""

import base64
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from omnisdk.protocol import events, wire
from omnisdk.protocol.limits import MAX_OUTBOUND_FRAME_BYTES
from runtime.engine.output import SlotState
from runtime.engine.recipe import SlotRecipe
from runtime.server.frames import frame_bytes, framed
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import Event, WireClient, connected

MIB = 2**20
UNITS = ["a", "\x00", '"', "é", "語", "😀", "words "]
LONG = st.builds(
    lambda unit, length: (unit * length)[:length],
    st.sampled_from(UNITS),
    st.sampled_from([1, 500, 5_000, 32_768, 60_000, 120_000, 262_000, 300_000]),
)


@dataclass
class Overflowing(ScriptedEngine):
    """Pictures are noise of `side` px, which PNG cannot make smaller; texts are long."""

    side: int = 32
    said: str = ""

    def _final(self, slot: SlotRecipe) -> SlotState:
        state = super()._final(slot)
        if state.paint is not None:
            noise = np.frombuffer(os.urandom(self.side**2 * 3), np.uint8).reshape(self.side, self.side, 3)
            return replace(state, paint=partial(lambda picture: picture, noise))
        return state if state.text is None else replace(state, text=self.said)


@pytest.fixture(scope="module")
def engine() -> Overflowing:
    return Overflowing(num_steps=2)


@pytest.fixture(scope="module")
def url(engine: Overflowing) -> Iterator[str]:
    with serving(engine) as url:
        yield url


def item(*parts: Event, **more: Any) -> Event:
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": parts, **more}}


def spoken(seconds: float) -> Event:
    return {"type": "input_audio", "audio": base64.b64encode(os.urandom(int(24_000 * seconds) * 2)).decode()}


def reference(url: str) -> Event:
    return {"id": "i", "url": url, "mime": "image/png", "width": 1, "height": 1}


TEXT_PARTS = LONG.map(lambda text: {"type": "input_text", "text": text[:32_768]})
EVENTS = st.one_of(
    LONG.map(lambda text: {"type": "session.update", "session": {"instructions": text}}),
    LONG.map(lambda text: {"type": "session.update", "session": {"tracing": {"a": text}, "omni": {}}}),
    LONG.map(lambda text: {"type": text}),
    LONG.map(lambda text: {"type": "conversation.item.retrieve", "item_id": text}),
    LONG.map(lambda text: {"type": "response.create", "response": {"metadata": {"a": text}}}),
    LONG.map(lambda text: item({"type": "input_text", "text": "a"}, omni={"images": 4 * [reference(text)]})),
    LONG.map(lambda text: item({"type": "input_text", "text": "a"}, id=text[:512])),
    LONG.map(
        lambda text: {
            "type": "conversation.item.create",
            "item": {"type": "function_call", "name": "f", "arguments": f'{{"a": "{text}"}}'},
        }
    ),
    st.lists(TEXT_PARTS, min_size=1, max_size=4).map(lambda parts: item(*parts, id="said")),
    st.builds(
        lambda text, seconds: item(text, spoken(seconds), id="said"), TEXT_PARTS, st.sampled_from([1, 15, 15.5, 16, 29])
    ),
    st.just({"type": "conversation.item.retrieve", "item_id": "said"}),
    st.just({"type": "response.create"}),
)


def take(client: WireClient, event: Event) -> None:
    """Send it and read what follows, an answer to its end."""
    client.send(event)
    if event["type"] == "response.create":
        while client.receive()["type"] not in ("response.done", "error"):
            pass
    client.send({"type": "input_audio_buffer.clear"})
    while client.receive()["type"] != "input_audio_buffer.cleared":
        pass


@pytest.mark.parametrize("subprotocol", ["omni.v1", "omni.v1+msgpack"])
def test_whatever_is_said_and_answered(url: str, engine: Overflowing, subprotocol: str) -> None:
    @settings(
        deadline=None,
        max_examples=8,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(EVENTS, min_size=1, max_size=6), st.sampled_from([32, 500, 585, 700]), LONG)
    def said(told: list[Event], side: int, answer: str) -> None:
        engine.side, engine.said = side, answer[:32_768]
        # A client that takes no more closes with 1009, and nothing more can be read.
        with connected(url, subprotocols=[subprotocol], max_frame_bytes=MIB - 1) as client:
            for event in told:
                take(client, event)
            assert "message_too_large" not in [error["error"]["code"] for error in client.of_type("error")]

    said()


def test_speech_and_words_that_fill_a_frame_together(url: str) -> None:
    """In characters they would fit; in bytes they do not."""
    with connected(url, max_frame_bytes=MIB - 1) as client:
        words = {"type": "input_text", "text": "語" * 32_768}
        take(client, item(words, spoken(15.5), id="said"))
        retrieved = client.ask({"type": "conversation.item.retrieve", "item_id": "said"}, "conversation.item.retrieved")
        assert "audio" not in retrieved["item"]["content"][1]


def test_metadata_of_a_fork_is_bounded_as_that_of_a_response(url: str, engine: Overflowing) -> None:
    engine.hold, engine.side, engine.said = True, 32, "hello"
    try:
        with connected(url, subprotocols=["omni.v1"]) as client:
            client.say("a red ball")
            client.send({"type": "response.create"})
            canvas_id = client.until("omni.canvas.created")["canvas_id"]
            fork = {"type": "omni.canvas.fork", "canvas_id": canvas_id, "metadata": {"a": "x" * 2 * MIB}}
            error = client.ask(fork)["error"]
            assert (error["code"], error["param"]) == ("invalid_value", "metadata")
    finally:
        engine.hold = False


@pytest.mark.parametrize("binary", [False, True])
def test_an_event_that_is_too_large_all_the_same_becomes_an_error(binary: bool) -> None:
    frame = framed(
        events.ResponseOutputTextDelta(
            event_id="e", response_id="r", item_id="i", output_index=0, content_index=0, delta="語" * 400_000
        ),
        binary,
    )
    told = wire.decode_server_event(frame)
    assert frame_bytes(frame) < MAX_OUTBOUND_FRAME_BYTES
    assert isinstance(told, events.Error)
    assert told.error.code == "message_too_large"
    assert "response.output_text.delta of 12001" in told.error.message


def test_frames_as_they_are_sent() -> None:
    event = events.ResponseOutputTextDelta(response_id="r", item_id="i", output_index=0, content_index=0, delta="語")
    assert framed(event, False) == wire.encode(event)
    assert framed(event, True) == wire.pack(event)
    assert frame_bytes("aé語") == 6
    assert frame_bytes(b"abc") == 3
