"""Ephemeral keys as the stock openai client makes and shows them."""

from collections.abc import Iterator

import httpx
import openai
import pytest
import websockets

from omnisdk.protocol.settings import SessionSettings
from runtime.server.client_secrets import MAX_KEPT, ClientSecrets
from runtime.server.keys import Key
from runtime.server.settings import ServerSettings
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import connected


class TestKept:
    def test_until_it_expires(self) -> None:
        now = [1_000.0]
        kept, settings = ClientSecrets(lambda: now[0]), SessionSettings(instructions="be brief")
        value, expires_at = kept.create(settings, 10, "phone")
        assert expires_at == 1_010
        bound = kept.found(value)
        assert bound is not None
        assert (bound.settings, bound.owner) == (settings, "phone")
        assert kept.found(value[:-1]) is None
        assert kept.found("") is None
        now[0] = 1_010
        assert kept.found(value) is None

    def test_the_secret_itself_is_not_kept(self) -> None:
        kept = ClientSecrets()
        value, _ = kept.create(SessionSettings(), 10, "phone")
        assert value not in repr(vars(kept))

    def test_the_oldest_go_when_there_are_too_many(self) -> None:
        kept = ClientSecrets()
        first, _ = kept.create(SessionSettings(), 10, "phone")
        for _ in range(MAX_KEPT):
            last, _ = kept.create(SessionSettings(), 10, "phone")
        assert kept.found(first) is None
        assert kept.found(last) is not None


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(ScriptedEngine(), settings=ServerSettings(keys=(Key.of("right"),))) as url:
        yield url


def base(url: str) -> str:
    return url.replace("ws://", "http://") + "/v1"


def test_a_session_begins_as_the_secret_says(url: str) -> None:
    with openai.OpenAI(base_url=base(url), api_key="right") as owner:
        made = owner.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 60},
            session={"type": "realtime", "instructions": "be brief"},
        )
    assert made.value.startswith("ek_")
    assert made.session.instructions == "be brief"
    for show in ({"Authorization": f"Bearer {made.value}"}, None):
        offered = ["realtime", f"openai-insecure-api-key.{made.value}"] if show is None else []
        with connected(url, subprotocols=offered, additional_headers=show) as client:
            assert client.seen[0]["session"]["instructions"] == "be brief"
            client.say("a red ball")
            assert client.answer()["status"] == "completed"


def test_a_secret_opens_sessions_and_nothing_else(url: str) -> None:
    made = httpx.post(f"{base(url)}/realtime/client_secrets", headers={"Authorization": "Bearer right"}).json()
    key = {"Authorization": f"Bearer {made['value']}"}
    assert httpx.post(f"{base(url)}/realtime/client_secrets", headers=key).status_code == 401
    assert httpx.get(f"{base(url)}/models", headers=key).status_code == 401


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"expires_after": {"seconds": 5}}, "expires_after.seconds"),
        ({"session": {"type": "realtime", "output_modalities": ["smell"]}}, "session.output_modalities"),
        ({"session": {"type": "realtime", "colour": 1}}, "session.colour"),
    ],
)
def test_bad_requests(url: str, body: dict[str, object], param: str) -> None:
    answer = httpx.post(f"{base(url)}/realtime/client_secrets", json=body, headers={"Authorization": "Bearer right"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_key_that_is_none(url: str) -> None:
    with (
        pytest.raises(websockets.InvalidStatus, match="401"),
        connected(url, additional_headers={"Authorization": "Bearer ek_wrong"}),
    ):
        pass
