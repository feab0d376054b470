"""Clients that leave are no longer worked for; what cannot be made now is told with a status."""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from runtime.engine.denoising import DenoisingEngine, EngineLimits
from runtime.engine.recipe import SPEAKING_RECIPES
from runtime.executors.in_process import InProcessExecutor
from runtime.server.http_errors import told
from tests.support.live_server import MODEL, serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiny_model import tiny_model
from tests.support.wire_client import connected


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


@pytest.fixture(scope="module")
def overloaded() -> Iterator[str]:
    """An engine where nobody may wait."""
    model = tiny_model(num_speech=8)
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone), EngineLimits(waiting_requests=0))
    with serving(engine, replace(MODEL, recipes=SPEAKING_RECIPES)) as url:
        yield url.replace("ws://", "http://")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a ball"}]}),
        ("/v1/images/generations", {"prompt": "a ball"}),
        ("/v1/audio/speech", {"input": "a ball"}),
    ],
)
def test_too_much_at_once_is_told_before_a_stream_begins(
    overloaded: str, path: str, body: dict[str, object], stream: bool
) -> None:
    streamed = {"stream_format": "sse"} if path.endswith("speech") else {"stream": True}
    refused = httpx.post(overloaded + path, json=body | (streamed if stream else {}), timeout=30)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
    error = refused.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("server_error", "overloaded", None)
    assert "0 requests are waiting already; try again later" in error["message"]


def test_too_much_at_once_on_a_socket(overloaded: str) -> None:
    with connected(overloaded.replace("http://", "ws://")) as client:
        client.say("draw a red apple")
        done = client.answer()
        assert (done["status"], done["status_details"]["error"]["code"]) == ("failed", "overloaded")


@pytest.mark.anyio
async def test_what_is_our_own_mistake(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: Request) -> Response:
        raise KeyError("nobody thought of this")

    answer = await told(broken)(Request({"type": "http", "path": "/v1/x", "headers": [], "query_string": b""}))
    error = json.loads(bytes(answer.body))["error"]
    assert (answer.status_code, error["type"], error["code"]) == (500, "server_error", "internal_error")
    assert "nobody thought of this" not in error["message"]
    assert "KeyError: 'nobody thought of this'" in caplog.text
