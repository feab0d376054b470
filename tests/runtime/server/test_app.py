from collections.abc import Iterator

import httpx
import pytest

from runtime.server.keys import Key
from runtime.server.settings import ServerSettings
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import connected


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(ScriptedEngine()) as url:
        yield url


def get(url: str, path: str, **headers: str) -> httpx.Response:
    return httpx.get(url.replace("ws://", "http://") + path, headers=headers)


def test_health(url: str) -> None:
    assert get(url, "/healthz").json() == {"status": "ok"}
    assert get(url, "/readyz").json() == {"status": "ready", "model": "omni-test"}


def test_the_protocol_is_told(url: str) -> None:
    document = get(url, "/asyncapi.json").json()
    assert document["asyncapi"].startswith("3.")
    assert "session.update" in document["channels"]["realtime"]["messages"]


def test_models(url: str) -> None:
    models = get(url, "/v1/models").json()
    assert [model["id"] for model in models["data"]] == ["omni-test"]
    assert models["data"][0]["omni"]["modalities_out"] == ["text", "image"]
    assert get(url, "/v1/models/omni-test").json() == models["data"][0]
    missing = get(url, "/v1/models/other")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_a_finished_picture_can_be_fetched(url: str) -> None:
    with connected(url) as client:
        client.say("a red ball")
        image = client.answer()["output"][0]["omni"]["images"][0]
    fetched = httpx.get(image["url"])
    assert fetched.headers["content-type"] == "image/png"
    assert fetched.content.startswith(b"\x89PNG")


def test_an_asset_that_is_not_there(url: str) -> None:
    missing = get(url, "/v1/assets/img_nix")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "asset_not_found")


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("POST", "/v1/embeddings", 404, "POST /v1/embeddings came; there is no such path here"),
        ("GET", "/v1/chat/completions", 405, "this path takes POST"),
        ("GET", "/v1/realtime", 404, "connect with a websocket client"),
    ],
)
def test_a_path_that_is_not_there_is_told_as_openai_tells_it(
    url: str, method: str, path: str, status: int, told: str
) -> None:
    refused = httpx.request(method, url.replace("ws://", "http://") + path)
    assert refused.status_code == status
    assert (told in refused.json()["error"]["message"], refused.json()["error"]["param"]) == (True, None)


def test_a_foreign_host_name_gets_nothing(url: str) -> None:
    assert get(url, "/v1/models", Host="evil.example").status_code == 403
    assert get(url, "/healthz", Host="evil.example").status_code == 200


def test_a_key_guards_the_models_and_not_the_health() -> None:
    with serving(ScriptedEngine(), settings=ServerSettings(keys=(Key.of("secret"),))) as url:
        refused = get(url, "/v1/models")
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert get(url, "/v1/models", Authorization="Bearer secret").status_code == 200
        assert get(url, "/healthz").status_code == 200
