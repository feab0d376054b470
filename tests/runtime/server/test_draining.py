"""Servers that are told to stop while they answer."""

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from runtime.server.app import create_app
from runtime.server.serving import Server, bind, url_of
from runtime.server.settings import ServerSettings
from tests.runtime.server.test_http_errors import eventually
from tests.support.live_server import MODEL
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import connected

OMNI: dict[str, Any] = {"subprotocols": ["omni.v1"]}
CHAT = {"messages": [{"role": "user", "content": "a ball"}]}


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(hold=True)


@contextlib.contextmanager
def stoppable(engine: ScriptedEngine, drain_s: float = 60) -> Iterator[tuple[str, Server]]:
    settings = ServerSettings(drain_s=drain_s)
    listener, ready = bind("127.0.0.1", 0, settings), threading.Event()
    server = Server(create_app(engine, MODEL, settings), ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    assert ready.wait(30)
    yield url_of(listener), server
    server.should_exit = True
    engine.close()
    thread.join(30)
    assert not thread.is_alive()


@contextlib.contextmanager
def asking(url: str, path: str, body: dict[str, object]) -> Iterator["Future[httpx.Response]"]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(httpx.post, url.replace("ws://", "http://") + path, json=body, timeout=60)


class TestSessions:
    def test_answers_come_to_their_end_and_no_session_begins(self, engine: ScriptedEngine) -> None:
        with stoppable(engine) as (url, server), connected(url, **OMNI) as client:
            client.say("a red ball")
            client.ask({"type": "response.create"}, "response.created")
            server.should_exit = True
            notice = client.until("omni.session.go_away")
            assert (notice["reason"], notice["time_left_ms"]) == ("shutdown", 60_000)
            with pytest.raises(InvalidStatus) as refused, connected(url):
                pass
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"]
            engine.hold = False
            assert client.until("response.done")["response"]["status"] == "completed"
            with pytest.raises(ConnectionClosed):
                client.receive()
            assert client.socket.close_code == 1001

    def test_not_for_ever(self, engine: ScriptedEngine) -> None:
        with stoppable(engine, drain_s=0.1) as (url, server), connected(url) as client:
            client.say("a red ball")
            client.ask({"type": "response.create"}, "response.created")
            server.should_exit = True
            with pytest.raises(ConnectionClosed):
                client.until("response.done")
            assert client.socket.close_code == 1001
            assert "omni.session.go_away" not in client.types()


ASKED: list[tuple[str, dict[str, object]]] = [
    ("/v1/chat/completions", CHAT),
    ("/v1/chat/completions", CHAT | {"stream": True}),
    ("/v1/images/generations", {"prompt": "a ball"}),
    ("/v1/images/generations", {"prompt": "a ball", "stream": True}),
]


class TestRequests:
    @pytest.mark.parametrize(("path", "body"), ASKED)
    def test_they_come_to_their_end_and_no_other_begins(
        self, engine: ScriptedEngine, path: str, body: dict[str, object]
    ) -> None:
        with stoppable(engine) as (url, server), asking(url, path, body) as asked:
            assert eventually(lambda: engine.submitted)
            server.should_exit = True
            base = url.replace("ws://", "http://")
            assert eventually(lambda: httpx.get(f"{base}/readyz").status_code == 503)
            refused = httpx.post(base + path, json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
            assert refused.json()["error"]["message"].endswith("begins nothing new; ask again later")
            assert refused.headers["retry-after"]
            assert httpx.get(f"{base}/healthz").status_code == 200
            engine.hold = False
            answer = asked.result()
            assert answer.status_code == 200
            assert "error" not in answer.text

    @pytest.mark.parametrize(("path", "body"), ASKED)
    def test_not_for_ever(self, engine: ScriptedEngine, path: str, body: dict[str, object]) -> None:
        with stoppable(engine, drain_s=0.1) as (url, server), asking(url, path, body) as asked:
            assert eventually(lambda: engine.submitted)
            server.should_exit = True
            answer = asked.result()
            assert eventually(lambda: engine.cancelled == [engine.submitted[0].request_id])
        told = answer.text.strip().rpartition("data: ")[2]
        assert httpx.Response(200, text=told).json()["error"]["code"] == "shutting_down"
        assert answer.status_code == (200 if "stream" in body else 503)
