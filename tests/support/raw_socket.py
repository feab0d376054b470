"""A client below the websocket: it sends whatever bytes a test wants and reads frames until the end."""

import contextlib
import json
import socket
import struct
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

TIMEOUT_S = 10.0
MASK = b"\x01\x02\x03\x04"


class RawSocket:
    """A TCP connection; `upgrade` makes it a websocket."""

    def __init__(self, url: str, subprotocol: str | None = None) -> None:
        self.url = f"{url}/v1/realtime"
        address = urlsplit(url)
        self.host = address.netloc
        self.tcp = socket.create_connection((address.hostname, address.port), TIMEOUT_S)
        offered = [Subprotocol(subprotocol)] if subprotocol else None
        self._protocol = ClientProtocol(parse_uri(self.url), subprotocols=offered, max_size=None)

    def upgrade(self) -> None:
        """Raises whatever the handshake ended with."""
        self._protocol.send_request(self._protocol.connect())
        self.tcp.sendall(b"".join(self._protocol.data_to_send()))
        while self._protocol.handshake_exc is None and self._protocol.state.name == "CONNECTING":
            self._receive()
        if self._protocol.handshake_exc is not None:
            raise self._protocol.handshake_exc

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.tcp.sendall(piece)

    def events(self) -> Iterator[dict[str, Any]]:
        """What the server sends, until it closes."""
        while True:
            for frame in self._protocol.events_received():
                if isinstance(frame, Frame) and frame.opcode is Opcode.TEXT:
                    yield json.loads(frame.data)
                if isinstance(frame, Frame) and frame.opcode is Opcode.BINARY:
                    yield msgspec.msgpack.decode(frame.data)
            if self._protocol.close_rcvd is not None or not self._receive():
                return

    def pongs(self) -> Iterator[bytes]:
        """What the server answers to pings."""
        while True:
            for frame in self._protocol.events_received():
                if isinstance(frame, Frame) and frame.opcode is Opcode.PONG:
                    yield bytes(frame.data)
            if not self._receive():
                return

    def close_code(self) -> int | None:
        """With which the server ends, whatever it sends before; None if it hangs up without one."""
        for _ in self.events():
            pass
        close: Close | None = self._protocol.close_rcvd
        return None if close is None else close.code

    def answer(self) -> bytes:
        """All bytes until the server hangs up, for those who never become websockets."""
        read = b""
        with contextlib.suppress(ConnectionError):
            while chunk := self.tcp.recv(65_536):
                read += chunk
        return read

    def _receive(self) -> bool:
        try:
            data = self.tcp.recv(65_536)
        except ConnectionError:
            return False
        if not data:
            return False
        self._protocol.receive_data(data)
        return True


@contextlib.contextmanager
def raw(url: str, subprotocol: str | None = None) -> Iterator[RawSocket]:
    """Before any handshake."""
    client = RawSocket(url, subprotocol)
    with client.tcp:
        yield client


@contextlib.contextmanager
def upgraded(url: str, subprotocol: str | None = None) -> Iterator[RawSocket]:
    """Behind session.created."""
    with raw(url, subprotocol) as client:
        client.upgrade()
        assert next(client.events())["type"] == "session.created"
        yield client


def frame(
    opcode: int, payload: bytes = b"", *, final: bool = True, reserved: int = 0, masked: bool = True, size: int = -1
) -> bytes:
    """The bytes of a frame, right or wrong. reserved: the three bits. size: what its header says, if not the truth."""
    size = len(payload) if size < 0 else size
    head = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
    flag = 0x80 if masked else 0
    if size < 126:
        head += bytes([flag | size])
    elif size < 65_536:
        head += bytes([flag | 126]) + struct.pack("!H", size)
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", size)
    return head + (MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload)) if masked else payload)


def text(event: dict[str, Any] | str) -> bytes:
    return frame(Opcode.TEXT, (event if isinstance(event, str) else json.dumps(event)).encode())
