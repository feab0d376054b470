"""What comes below the events: wrong frames, wrong handshakes, wrong goodbyes. Documented closes come out, no more."""

import contextlib
import json
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.frames import Opcode

from omnisdk.protocol.limits import MAX_INBOUND_FRAME_BYTES
from runtime.server.settings import ServerSettings
from tests.support.live_server import serving
from tests.support.raw_socket import RawSocket, frame, raw, text, upgraded
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import WireClient, connected

TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = (
    Opcode.TEXT,
    Opcode.BINARY,
    Opcode.CONT,
    Opcode.CLOSE,
    Opcode.PING,
    Opcode.PONG,
)
PROTOCOL_ERROR, BAD_UTF8, TOO_BIG, NORMAL = 1002, 1007, 1009, 1000
CLEAR = {"type": "input_audio_buffer.clear"}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(ScriptedEngine(), settings=ServerSettings(max_sessions=8)) as url:
        yield url


@pytest.fixture(scope="module")
def neighbour(url: str) -> Iterator[WireClient]:
    """Another session, through all of it."""
    with connected(url) as client:
        yield client


@pytest.fixture(autouse=True)
def _others_are_not_disturbed(url: str, neighbour: WireClient) -> Iterator[None]:
    before = len(neighbour.seen)
    yield
    neighbour.ask(CLEAR, "input_audio_buffer.cleared")
    assert len(neighbour.seen) == before + 1
    with connected(url) as another:
        another.ask(CLEAR, "input_audio_buffer.cleared")


BROKEN_FRAMES = {
    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe"), BAD_UTF8),
    "half a character at the end of a text": (frame(TEXT, b'{"type": "\xe2\x82'), BAD_UTF8),
    "a surrogate in a text": (frame(TEXT, b'"\xed\xa0\x80"'), BAD_UTF8),
    "an overlong character": (frame(TEXT, b'"\xc0\xaf"'), BAD_UTF8),
    "UTF-8 that breaks in the second piece": (
        frame(TEXT, b'"\xe2\x82', final=False) + frame(CONTINUATION, b'x"'),
        BAD_UTF8,
    ),
    "reserved bit 1": (frame(TEXT, b"{}", reserved=0b100), PROTOCOL_ERROR),
    "reserved bit 2": (frame(TEXT, b"{}", reserved=0b010), PROTOCOL_ERROR),
    "reserved bit 3 of a ping": (frame(PING, reserved=0b001), PROTOCOL_ERROR),
    "an unmasked text": (frame(TEXT, b"{}", masked=False), PROTOCOL_ERROR),
    "an unmasked ping": (frame(PING, masked=False), PROTOCOL_ERROR),
    "an unknown data frame": (frame(0x3, b"{}"), PROTOCOL_ERROR),
    "an unknown control frame": (frame(0xB), PROTOCOL_ERROR),
    "a ping in pieces": (frame(PING, b"a", final=False), PROTOCOL_ERROR),
    "a ping of 126 bytes": (frame(PING, b"x" * 126), PROTOCOL_ERROR),
    "a continuation of nothing": (frame(CONTINUATION, b"{}"), PROTOCOL_ERROR),
    "a text in the middle of a text": (frame(TEXT, b"{", final=False) + frame(TEXT, b"}"), PROTOCOL_ERROR),
    "a goodbye of one byte": (frame(CLOSE, b"\x03"), PROTOCOL_ERROR),
    "a goodbye with a code that means nothing": (frame(CLOSE, struct.pack("!H", 1005)), PROTOCOL_ERROR),
    "a goodbye whose reason is no UTF-8": (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), BAD_UTF8),
    "a length of nine exabytes": (frame(TEXT, size=2**63 - 1), TOO_BIG),
    "a length with its first bit set": (frame(TEXT, size=2**63 + 5), (PROTOCOL_ERROR, TOO_BIG)),
    "a frame far over the limit": (frame(TEXT, size=3 * MAX_INBOUND_FRAME_BYTES), TOO_BIG),
}


@pytest.mark.parametrize("name", BROKEN_FRAMES)
def test_broken_frames_end_the_session_with_the_documented_code(url: str, name: str) -> None:
    sent, codes = BROKEN_FRAMES[name]
    with upgraded(url) as client:
        client.send(sent)
        assert client.close_code() in (codes if isinstance(codes, tuple) else (codes,))


def test_a_message_in_pieces_is_over_the_limit_only_together(url: str) -> None:
    piece = b"x" * (MAX_INBOUND_FRAME_BYTES - 1024)
    masked = frame(CONTINUATION, piece, final=False)
    with upgraded(url) as client:
        with contextlib.suppress(ConnectionError):  # it may be cut off while it still sends
            client.send(frame(TEXT, b'"', final=False), masked, masked, masked)
        assert client.close_code() in (TOO_BIG, None)  # the reason is lost if it comes to someone still sending


REFUSED: dict[str, tuple[bytes, str]] = {
    "an empty text": (text(""), "invalid_json"),
    "no JSON": (text("hello"), "invalid_json"),
    "a bare NUL": (text("\0"), "invalid_json"),
    "NULs around JSON": (text("\0{}\0"), "invalid_json"),
    "JSON nested a hundred thousand deep": (text('{"type":' + "[" * 100_000), "invalid_json"),
    "a list": (text("[]"), "invalid_json"),
    "an unpaired surrogate by its escape": (text('{"type": "\\ud800"}'), "invalid_json"),
    "a number beyond all numbers": (text('{"type": 1e999}'), "invalid_json"),
    "a NUL in a type": (text({"type": "response\0cancel"}), "invalid_value"),
    "a NUL in an id": (text({"type": "conversation.item.delete", "item_id": "\0"}), "item_delete_invalid_item_id"),
    "an id of a megabyte": (text({**CLEAR, "event_id": "x" * 2**20}), "invalid_value"),
    "an item id of a megabyte": (
        text({"type": "conversation.item.delete", "item_id": "x" * 2**20}),
        "item_delete_invalid_item_id",
    ),
    "a response id of a megabyte": (
        text({"type": "omni.response.finalize", "response_id": "x" * 2**20}),
        "response_finalize_not_active",
    ),
    "binary that was not agreed on": (frame(BINARY, b"\x00\x01"), "binary_not_negotiated"),
    "an empty binary": (frame(BINARY), "binary_not_negotiated"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_event_is_told_in_a_small_frame_and_the_session_lives_on(url: str, name: str) -> None:
    sent, code = REFUSED[name]
    with upgraded(url) as client:
        client.send(sent, text(CLEAR))
        error, cleared = two(client)
        assert error["type"] == "error", error
        assert error["error"]["code"] == code
        assert len(json.dumps(error)) < 4096
        assert cleared["type"] == "input_audio_buffer.cleared"


def packed(content: bytes) -> bytes:
    return frame(BINARY, content)


def keyed(value: bytes) -> bytes:
    """The packed bytes of a value in the place of an event's id."""
    return packed(b"\x82\xa4type\xb8input_audio_buffer.clear\xa8event_id" + value)


REFUSED_PACKED: dict[str, tuple[bytes, str]] = {
    "nothing": (packed(b""), "invalid_msgpack"),
    "a map that breaks off": (packed(b"\x82\xa4type"), "invalid_msgpack"),
    "a byte too many": (keyed(b"\xa1a\x00"), "invalid_msgpack"),
    "the byte that is never used": (packed(b"\xc1"), "invalid_msgpack"),
    "a list": (packed(b"\x90"), "invalid_msgpack"),
    "a map of four thousand million": (packed(b"\xdf\xff\xff\xff\xff"), "invalid_msgpack"),
    "a text of four thousand million": (keyed(b"\xdb\xff\xff\xff\xff"), "invalid_msgpack"),
    "a text that is no UTF-8": (keyed(b"\xa2\xff\xfe"), "invalid_msgpack"),
    "a hundred thousand lists in each other": (keyed(b"\x91" * 100_000), "invalid_msgpack"),
    "an extension": (keyed(b"\xd4\x05a"), "invalid_value"),
    "a number where text belongs": (keyed(b"\x01"), "invalid_type"),
    "bytes where text belongs": (keyed(b"\xc4\x01a"), "invalid_type"),
    "a key that is a number": (packed(b"\x81\x01\x01"), "invalid_value"),
    "an event that is none": (packed(b"\x81\xa4type\xa1x"), "invalid_value"),
}


@pytest.mark.parametrize("name", REFUSED_PACKED)
def test_what_is_no_packed_event_is_told_and_the_session_lives_on(url: str, name: str) -> None:
    sent, code = REFUSED_PACKED[name]
    with upgraded(url, "omni.v1+msgpack") as client:
        client.send(sent, text(CLEAR))
        events = (event for event in client.events() if event["type"] != "omni.session.capabilities")
        error, cleared = next(events), next(events)
        assert error["type"] == "error", error
        assert error["error"]["code"] == code, error
        assert len(json.dumps(error)) < 4096
        assert cleared["type"] == "input_audio_buffer.cleared"


def two(client: RawSocket) -> tuple[dict[str, Any], dict[str, Any]]:
    events = client.events()
    return next(events), next(events)


class TestFramesThatAreRight:
    def test_an_event_byte_by_byte(self, url: str) -> None:
        with upgraded(url) as client:
            client.send(*(bytes([byte]) for byte in text(CLEAR)))
            assert next(client.events())["type"] == "input_audio_buffer.cleared"

    def test_an_event_in_pieces_with_a_ping_between_them(self, url: str) -> None:
        whole = json.dumps(CLEAR).encode()
        with upgraded(url) as client:
            client.send(frame(TEXT, whole[:5], final=False), frame(PING, b"still there?"))
            assert next(client.pongs()) == b"still there?"
            client.send(frame(CONTINUATION, whole[5:9], final=False), frame(CONTINUATION, whole[9:]))
            assert next(client.events())["type"] == "input_audio_buffer.cleared"

    def test_many_events_at_once_are_answered_in_order(self, url: str) -> None:
        asked = [text({"type": "conversation.item.retrieve", "item_id": "x", "event_id": str(i)}) for i in range(200)]
        with upgraded(url) as client:
            client.send(b"".join(asked))
            events = client.events()
            assert [next(events)["error"]["event_id"] for _ in asked] == [str(i) for i in range(200)]

    def test_a_pong_nobody_asked_for(self, url: str) -> None:
        with upgraded(url) as client:
            client.send(frame(PONG, b"?"), text(CLEAR))
            assert next(client.events())["type"] == "input_audio_buffer.cleared"

    @pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
    def test_a_goodbye_is_given_back(self, url: str, code: int) -> None:
        with upgraded(url) as client:
            client.send(frame(CLOSE, struct.pack("!H", code) + "adiós".encode()))
            assert client.close_code() == code

    def test_a_goodbye_without_a_code(self, url: str) -> None:
        with upgraded(url) as client:
            client.send(frame(CLOSE))
            assert client.close_code() in (NORMAL, 1005)


class TestHalfGone:
    def test_a_client_that_closed_its_side_is_let_go(self, url: str) -> None:
        with upgraded(url) as client:
            client.tcp.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            assert client.close_code() in (None, 1006)
            assert time.monotonic() - began < 5

    def test_in_the_middle_of_a_frame(self, url: str) -> None:
        with upgraded(url) as client:
            client.send(text(CLEAR)[:-3])
            client.tcp.shutdown(socket.SHUT_WR)
            assert client.close_code() in (None, 1006)

    def test_a_connection_that_is_torn_down(self, url: str) -> None:
        with upgraded(url) as client:
            client.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def request(host: str, *, line: str = "GET /v1/realtime HTTP/1.1", **changed: str | None) -> bytes:
    """An upgrade request; a header that is None is left out."""
    headers: dict[str, str | None] = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


class TestHandshakes:
    @pytest.mark.parametrize(
        ("changed", "statuses"),
        [
            ({"Sec_WebSocket_Version": "12"}, (400, 426)),
            ({"Sec_WebSocket_Version": None}, (400, 426)),
            ({"Sec_WebSocket_Key": None}, (400,)),
            ({"Sec_WebSocket_Key": "short"}, (400,)),
            ({"Upgrade": None}, (404, 426)),
            ({"Upgrade": "h2c"}, (404, 426)),
            ({"Connection": "close"}, (400, 404, 426)),
            ({"line": "POST /v1/realtime HTTP/1.1"}, (400,)),
            ({"line": "GET /v1/nowhere HTTP/1.1"}, (403, 404)),
            ({"line": "NONSENSE"}, (400,)),
            ({"Host": "evil.example"}, (403,)),
        ],
    )
    def test_wrong_ones_are_refused_in_http(self, url: str, changed: dict[str, Any], statuses: tuple[int, ...]) -> None:
        with raw(url) as client:
            client.send(request(**({"host": client.host} | changed)))
            client.tcp.settimeout(2)
            status_line = client.tcp.recv(65_536).split(b"\r\n")[0]
            assert int(status_line.split()[1]) in statuses, status_line

    def test_noise(self, url: str) -> None:
        with raw(url) as client:
            client.send(bytes(range(256)) * 16)
            assert b" 400 " in client.answer()[:64]

    def test_endless_headers_are_cut_off(self, url: str) -> None:
        with raw(url) as client:
            with contextlib.suppress(ConnectionError):
                client.send(b"GET /v1/realtime HTTP/1.1\r\nX: " + b"x" * 2**20)
            assert client.answer()[:64].split(b" ")[1:2] in ([b"400"], [b"431"], [])

    def test_a_slow_one_comes_in(self, url: str) -> None:
        with raw(url) as client:
            for byte in request(client.host):
                client.send(bytes([byte]))
            assert client.tcp.recv(1024).startswith(b"HTTP/1.1 101")

    def test_many_that_never_finish_keep_nobody_out(self, url: str) -> None:
        with contextlib.ExitStack() as stack:
            for _ in range(50):
                stack.enter_context(raw(url)).send(b"GET /v1/realtime HTTP/1.1\r\nHost: ")
            with connected(url) as client:
                client.ask(CLEAR, "input_audio_buffer.cleared")
