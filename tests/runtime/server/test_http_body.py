"""Bodies that are not read, over a real socket."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.requests import Request
from starlette.types import Message

from omnisdk.protocol.errors import ProtocolError
from runtime.server.accounts import Accounts
from runtime.server.chat.requests import ChatRequest
from runtime.server.http_body import MAX_BODY_BYTES, read_json
from runtime.server.keys import Limits
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(ScriptedEngine()) as url:
        yield url.replace("ws://", "http://")


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(url: str) -> None:
    place = urlsplit(url)
    with socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=10) as line:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
        line.sendall(f"{head}Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())
        answer = line.makefile(newline="").read()  # up to the end: the rest is not waited for
    assert " 413 " in answer.splitlines()[0]
    assert f"at most {MAX_BODY_BYTES} are taken" in answer


@pytest.mark.anyio
async def test_a_body_that_does_not_say_how_large_it_is() -> None:
    num_read = 0
    account = Accounts(ScriptedEngine(), (), Limits()).everybody

    async def receive() -> Message:
        nonlocal num_read
        num_read += 1
        return {"type": "http.request", "body": bytes(2**20), "more_body": True}

    with pytest.raises(ProtocolError) as refused:
        await read_json(Request({"type": "http", "headers": [], "state": {"account": account}}, receive), ChatRequest)
    assert refused.value.code == "message_too_large"
    assert num_read == MAX_BODY_BYTES // 2**20 + 1


@pytest.mark.parametrize(
    ("path", "content_type", "wanted"),
    [
        (CHAT, "text/plain", "application/json"),
        (CHAT, "application/x-www-form-urlencoded", "application/json"),
        ("/v1/images/generations", "text/plain", "application/json"),
        ("/v1/images/edits", "application/json", "multipart/form-data"),
        ("/v1/audio/transcriptions", "audio/wav", "multipart/form-data"),
    ],
)
def test_a_body_of_another_kind(url: str, path: str, content_type: str, wanted: str) -> None:
    answer = httpx.post(url + path, content=b"{}", headers={"Content-Type": content_type})
    assert answer.status_code == 415
    assert f"send the header Content-Type: {wanted}" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", "invalid_json", None),
        (b"[]", "invalid_json", None),
        (b"\xff", "invalid_json", None),
        (b"[" * 100_000, "invalid_json", None),
        (b"{}", "missing_required_parameter", "messages"),
        (json.dumps({"messages": [], "colour": 1}).encode(), "unknown_parameter", "colour"),
        (json.dumps({"messages": [{"role": "user", "content": "x", "x": 1}]}).encode(), "unknown_parameter", None),
    ],
)
def test_json_that_is_none_or_says_the_wrong_things(url: str, body: bytes, code: str, param: str | None) -> None:
    error = httpx.post(url + CHAT, content=body, headers={"Content-Type": "application/json"}).json()["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["param"] == param or param is None


def test_a_form_that_is_none(url: str) -> None:
    content_type = "multipart/form-data; boundary=x"
    answer = httpx.post(f"{url}/v1/audio/transcriptions", content=b"nothing", headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "form cannot be read" in answer.json()["error"]["message"]
