"""Frames that nobody would write, in both forms and for both decoders: nothing but ProtocolError comes out."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnisdk.protocol import wire
from omnisdk.protocol.documents.catalogue import Event, events
from omnisdk.protocol.documents.examples import bare_example, full_example
from omnisdk.protocol.documents.schemas import schema_document
from omnisdk.protocol.errors import ProtocolError
from tests.support.from_schema import from_schema

DEFINITIONS = schema_document()["definitions"]
MESSAGES = [
    msgspec.json.decode(wire.encode(example(event.described.kind.cls)))
    for event in events()
    for example in (full_example, bare_example)
]
WEIRD = [
    float("nan"),
    float("-inf"),
    2**64 - 1,
    -(2**63),
    b"\xff\x00",
    msgspec.msgpack.Ext(5, b"x"),
    {1: 2},
    {"": None},
    [[[[]]]],
    "\x00",
    "data:image/png;base64,AAA",
    "root",
]
FUZZED = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def read(frame: str | bytes) -> None:
    """By both decoders. What the server reads it can tell again in either form."""
    _try(wire.decode_server_event, frame)
    event = _try(wire.decode_client_event, frame)
    if event is not None:
        assert wire.decode_client_event(wire.pack(event)) == event
        told = wire.encode(event)  # where anything may stand, bytes become text here
        assert wire.encode(wire.decode_client_event(told)) == told


def _try(decode: Callable[[str | bytes], Any], frame: str | bytes) -> Any:
    try:
        return decode(frame)
    except ProtocolError as error:
        assert error.code and error.message  # noqa: PT017
        return None


@st.composite
def spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A valid message with something else somewhere in it."""
    message = copy.deepcopy(draw(st.sampled_from(MESSAGES)))
    for _ in range(draw(st.integers(1, 3))):
        place, key = draw(st.sampled_from(list(_places(message))))
        place[key] = copy.deepcopy(draw(st.sampled_from(WEIRD) | st.integers() | st.text(max_size=4)))
    return message


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every object or list in a message with each of its keys."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, dict | list):
            yield from _places(item)


@st.composite
def garbled(draw: st.DrawFn, frames: st.SearchStrategy[bytes]) -> bytes:
    """A frame with some bytes gone, doubled or others."""
    frame = bytearray(draw(frames))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(frame)))
        frame[at : at + draw(st.integers(0, 5))] = draw(st.binary(max_size=5))
    return bytes(frame)


@FUZZED
@given(st.binary() | st.text())
def test_any_bytes(frame: str | bytes) -> None:
    read(frame)


@FUZZED
@given(garbled(st.sampled_from(MESSAGES).map(msgspec.msgpack.encode)))
def test_garbled_messagepack(frame: bytes) -> None:
    read(frame)


@FUZZED
@given(garbled(st.sampled_from(MESSAGES).map(msgspec.json.encode)))
def test_garbled_json(frame: bytes) -> None:
    read(frame.decode("utf-8", "replace"))


@FUZZED
@given(spoilt())
def test_wrong_values_in_right_places(message: dict[str, Any]) -> None:
    try:
        packed = msgspec.msgpack.encode(message)
    except OverflowError:  # MessagePack cannot say it
        packed = b""
    read(packed)
    read(json.dumps(message, default=str))


@pytest.mark.parametrize("value", [*WEIRD, 10**30], ids=repr)
def test_anything_in_a_free_object(value: object) -> None:
    message = {"type": "session.update", "session": {"type": "realtime", "tracing": {"run": value}}}
    read(json.dumps(message, default=str))
    if value != 10**30:
        read(msgspec.msgpack.encode(message))


@pytest.mark.parametrize(
    "event", [event for event in events() if event.sender == "client"], ids=lambda event: event.name
)
def test_what_fits_the_schema_is_read(event: Event) -> None:
    schema = DEFINITIONS[event.described.name]

    @settings(FUZZED, max_examples=25)
    @given(from_schema(schema, DEFINITIONS))
    def fits(message: dict[str, Any]) -> None:
        read_one = wire.decode_client_event(json.dumps(message))
        assert wire.decode_client_event(msgspec.msgpack.encode(message)) == read_one
        read(wire.pack(read_one))

    fits()


@pytest.mark.parametrize("depth", [100, 900, 5_000])
def test_deep_nesting(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    read(f'{{"type": {deep}}}')
    read(f'{{"type": "session.update", "session": {{"tracing": {{"a": {deep}}}}}}}')
    packed = b"\x91" * depth + b"\x90"
    read(b"\x81\xa4type" + packed)
    read(b"\x82\xa4type\xaesession.update\xa7session\x81\xa7tracing\x81\xa1a" + packed)
