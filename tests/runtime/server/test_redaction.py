"""No secret is ever logged, whatever the level."""

import logging

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from runtime.server.keys import Key
from runtime.server.settings import ServerSettings
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import connected


def test_no_secret_is_ever_logged(caplog: pytest.LogCaptureFixture) -> None:
    key = "sk-very-secret-key"
    shown = {"Authorization": f"Bearer {key}"}
    caplog.set_level("DEBUG")
    with serving(ScriptedEngine(fails="oh no"), settings=ServerSettings(keys=(Key.of(key),)), log_level="debug") as url:
        for name in ("uvicorn", "uvicorn.access"):  # which do not pass on what they log
            logging.getLogger(name).addHandler(caplog.handler)
        base = url.replace("ws://", "http://")
        made = httpx.post(f"{base}/v1/realtime/client_secrets", headers=shown).json()["value"]
        for sent in (shown, {"Authorization": f"Bearer {key}x"}, {"Authorization": f"Bearer {made}"}):
            httpx.post(f"{base}/v1/images/generations", json={"prompt": "x"}, headers=sent)
            httpx.post(f"{base}/v1/chat/completions", content=b"{", headers=sent)
            with pytest.raises(InvalidStatus), connected(url, additional_headers={"Authorization": "no"}):
                pass
        for secret in (key, made):
            with connected(url, subprotocols=["realtime", f"openai-insecure-api-key.{secret}"]) as client:
                client.say("a ball")
                client.answer()
        for name in ("uvicorn", "uvicorn.access"):
            logging.getLogger(name).removeHandler(caplog.handler)
    lines = [record.getMessage() for record in caplog.records if not record.name.startswith(("http", "websockets.c"))]
    assert any("authorization: (left out)" in line for line in lines)
    assert any("POST /v1/images/generations" in line for line in lines)
    assert not [line for line in lines if key in line or made in line]
