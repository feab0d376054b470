from dataclasses import replace

import pytest

from omnisdk.protocol.settings import SessionSettings
from runtime.server.accounts import Accounts
from runtime.server.auth import Admitted, Door, Refusal, site_refusal
from runtime.server.client_secrets import ClientSecrets
from runtime.server.keys import Key
from runtime.server.settings import ServerSettings
from tests.support.scripted_engine import ScriptedEngine

OPEN = ServerSettings()
LOCKED = ServerSettings(keys=(Key.of("other", "web"), Key.of("secret", "phone")))
LOCAL = {"host": "127.0.0.1:8765"}


def door(settings: ServerSettings = LOCKED, secrets: ClientSecrets | None = None) -> Door:
    return Door(settings, Accounts(ScriptedEngine(), settings.keys, settings.limits), secrets or ClientSecrets())


def admitted(answer: Admitted | Refusal) -> Admitted:
    assert isinstance(answer, Admitted), answer
    return answer


def test_loopback_without_a_key() -> None:
    assert site_refusal(OPEN, LOCAL) is None
    assert site_refusal(OPEN, {"host": "localhost:80"}) is None
    assert site_refusal(OPEN, {"host": "[::1]:80"}) is None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost.evil",
        "evil@127.0.0.1",
        "127.0.0.1:80@evil.example",
        "127.0.0.1/evil",
        "127.0.0.1 ",
        "",
        "[",
    ],
)
def test_a_foreign_name_pointed_at_this_server(host: str) -> None:
    refused = site_refusal(OPEN, {"host": host})
    assert refused is not None
    assert (refused.status, refused.code) == (403, "host_not_allowed")


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://127.0.0.1:8765", True),
        ("HTTP://127.0.0.1:8765", True),
        ("https://page.example", True),
        ("https://page.example:443", True),
        ("http://page.example", False),
        ("https://page.example:444", False),
        ("https://page.example/path", False),
        ("https://evil@page.example", False),
        ("ftp://127.0.0.1:8765", False),
        ("", False),
        ("https://page.example.evil", False),
        ("http://127.0.0.1:8765.evil.example", False),
        ("http://127.0.0.1:9999", False),
        ("null", False),
    ],
)
def test_pages_of_other_origins(origin: str, allowed: bool) -> None:
    settings = ServerSettings(allowed_origins=("https://page.example",))
    refused = site_refusal(settings, {**LOCAL, "origin": origin})
    assert (refused is None) == allowed
    assert refused is None or refused.code == "origin_not_allowed"


def test_a_name_in_capitals_is_the_same() -> None:
    assert site_refusal(OPEN, {"host": "LocalHost:80"}) is None
    assert site_refusal(replace(OPEN, allowed_hosts=("Omni.Example",)), {"host": "omni.example"}) is None


def test_without_keys_all_are_one() -> None:
    assert admitted(door(OPEN).admit(LOCAL)).account.name == "everybody"


@pytest.mark.parametrize("header", ["Bearer secret", "bearer  secret"])
def test_the_key_as_bearer(header: str) -> None:
    assert admitted(door().admit({**LOCAL, "authorization": header})).account.name == "phone"
    assert admitted(door().admit_socket({**LOCAL, "authorization": header}, ())).account.name == "phone"


def test_the_key_as_a_browser_sends_it() -> None:
    shown = ["realtime", "openai-insecure-api-key.secret"]
    assert admitted(door().admit_socket(LOCAL, shown)).account.name == "phone"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic secret", "Bearer sécret"])
def test_a_wrong_key(header: str) -> None:
    headers = {**LOCAL, "authorization": header}
    for answer in (door().admit(headers), door().admit_socket(headers, ["openai-insecure-api-key.wrong"])):
        assert isinstance(answer, Refusal)
        assert (answer.status, answer.code) == (401, "invalid_api_key")


def test_an_ephemeral_key_opens_sessions_on_the_account_of_its_owner() -> None:
    secrets, settings = ClientSecrets(), SessionSettings(instructions="be brief")
    value, _ = secrets.create(settings, 10, "web")
    headers = {**LOCAL, "authorization": f"Bearer {value}"}
    found = admitted(door(secrets=secrets).admit_socket(headers, ()))
    assert (found.account.name, found.settings) == ("web", settings)
    assert isinstance(door(secrets=secrets).admit(headers), Refusal)


def test_a_good_key_does_not_help_on_a_wrong_page() -> None:
    answer = door().admit({**LOCAL, "origin": "https://evil.example", "authorization": "Bearer secret"})
    assert isinstance(answer, Refusal)
    assert answer.code == "origin_not_allowed"
