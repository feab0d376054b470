import time

import pytest

from runtime.server.handshake import Http
from tests.support.live_server import serving
from tests.support.raw_socket import raw
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import connected


def test_who_asks_for_nothing_is_let_go_and_a_session_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Http, "request_timeout_s", 0.2)
    with serving(ScriptedEngine()) as url, connected(url) as session, raw(url) as silent, raw(url) as slow:
        slow.send(b"GET /v1/realtime HTTP/1.1\r\nHost: ")
        began = time.monotonic()
        assert silent.answer() == slow.answer() == b""
        assert time.monotonic() - began < 5
        session.say("a red ball")
        assert session.answer()["status"] == "completed"


def test_a_request_that_is_no_websocket_is_told_why() -> None:
    with serving(ScriptedEngine()) as url, raw(url) as client:
        client.send(
            b"POST /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        answer = client.answer()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"GET" in answer
