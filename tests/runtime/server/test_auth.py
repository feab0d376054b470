import pytest

from runtime.server.auth import refusal
from runtime.server.settings import ServerSettings

OPEN, LOCKED = ServerSettings(), ServerSettings(api_key="secret")
LOCAL = {"host": "127.0.0.1:8765"}


def test_loopback_without_a_key() -> None:
    assert refusal(OPEN, LOCAL) is None
    assert refusal(OPEN, {"host": "localhost:80"}) is None
    assert refusal(OPEN, {"host": "[::1]:80"}) is None


@pytest.mark.parametrize("host", ["evil.example:8765", "127.0.0.1.evil.example", "", "[", "localhost.evil"])
def test_a_foreign_name_pointed_at_this_server(host: str) -> None:
    refused = refusal(OPEN, {"host": host})
    assert refused is not None
    assert (refused.status, refused.code) == (403, "host_not_allowed")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:8765", True),
        ("https://page.example", True),
        ("https://page.example.evil", False),
        ("http://127.0.0.1:8765.evil.example", False),
        ("http://127.0.0.1:9999", False),
        ("null", False),
    ],
)
def test_pages_of_other_origins(origin: str, allowed: bool) -> None:
    settings = ServerSettings(allowed_origins=("https://page.example",))
    refused = refusal(settings, {**LOCAL, "origin": origin})
    assert (refused is None) == allowed
    assert refused is None or refused.code == "origin_not_allowed"


@pytest.mark.parametrize("header", ["Bearer secret", "bearer  secret"])
def test_the_key_as_bearer(header: str) -> None:
    assert refusal(LOCKED, {**LOCAL, "authorization": header}) is None


def test_the_key_as_a_browser_sends_it() -> None:
    assert refusal(LOCKED, LOCAL, ["realtime", "openai-insecure-api-key.secret"]) is None


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic secret", "Bearer sécret"])
def test_a_wrong_key(header: str) -> None:
    refused = refusal(LOCKED, {**LOCAL, "authorization": header}, ["openai-insecure-api-key.wrong"])
    assert refused is not None
    assert (refused.status, refused.code) == (401, "invalid_api_key")
