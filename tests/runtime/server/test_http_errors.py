"""Clients that leave are no longer worked for."""

import socket
import time
from urllib.parse import urlsplit

import pytest

from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b'{"messages":[{"role":"user","content":"a ball"}]}'),
        ("/v1/chat/completions", b'{"messages":[{"role":"user","content":"a ball"}],"stream":true}'),
        ("/v1/images/generations", b'{"prompt":"a ball"}'),
        ("/v1/images/generations", b'{"prompt":"a ball","stream":true}'),
    ],
)
def test_a_client_that_leaves(path: str, body: bytes) -> None:
    engine = ScriptedEngine(hold=True)
    with serving(engine) as url:
        place = urlsplit(url)
        with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=10) as line:
            head = f"POST {path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
            line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert eventually(lambda: len(engine.submitted) == 1)
            assert not engine.cancelled
        assert eventually(lambda: engine.cancelled == [engine.submitted[0].request_id])


def eventually(condition: object) -> bool:
    assert callable(condition)
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())
