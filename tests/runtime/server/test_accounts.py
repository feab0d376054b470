"""What a key takes is counted, and refused when it is used up: over HTTP and on a socket."""

import json
import time
from collections.abc import Iterator

import httpx
import numpy as np
import openai
import pytest
from websockets.exceptions import InvalidStatus

from omnisdk import Client
from omnisdk.errors import ServerError
from runtime.engine.output import EngineOutput, Finished
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.engine.request import GenerationRequest, ImagePart, SpeechPart, TextPart, Turn
from runtime.server.accounts import Accounts, RateLimitError
from runtime.server.keys import Key, Limits
from runtime.server.settings import ServerSettings
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import connected

PHONE, WEB = {"Authorization": "Bearer abc"}, {"Authorization": "Bearer def"}


def keys(limits: Limits) -> ServerSettings:
    """One key with limits and one without."""
    return ServerSettings(keys=(Key.of("abc", "phone", limits), Key.of("def", "web")))


def test_what_a_request_takes() -> None:
    limits = Limits(requests=10, tokens=100, pixels=100, audio_seconds=10, steps=100)
    engine = ScriptedEngine()
    account = Accounts(engine, (), limits, clock=lambda: 0.0).everybody
    picture, speech = np.zeros((4, 5, 3), np.uint8), np.zeros(32_000, np.int16)
    parts = (TextPart("x"), ImagePart(picture), SpeechPart(speech, 16_000))
    ended: list[EngineOutput] = []
    recipe = EMBEDDED_RECIPES["speech_to_text"]
    account.engine.submit(GenerationRequest("r", (Turn("user", parts),), recipe, partial_every=0), ended.append)
    while not ended or not isinstance(ended[-1], Finished):
        time.sleep(0.001)
    told = account.told()
    assert told is not None
    assert {limit.name: limit.remaining for limit in told.rate_limits} == {"requests": 9, "tokens": 100 - 3 - 5}
    assert {limit.name: limit.remaining for limit in told.omni.rate_limits} == {
        "pixels": 80,
        "audio_seconds": 8,
        "steps": 100 - ended[-1].usage.steps,
    }


def test_steps_are_held_back_while_they_may_still_be_run() -> None:
    engine = ScriptedEngine(hold=True)
    account = Accounts(engine, (), Limits(steps=4), clock=lambda: 0.0).everybody
    recipe = EMBEDDED_RECIPES["speech_to_text"]
    account.engine.submit(GenerationRequest("r", (Turn("user", (TextPart("x"),)),), recipe), lambda _: None)
    with pytest.raises(RateLimitError, match="the 4 steps a minute of this key are used up; try again in") as refused:
        account.check()
    engine.close()
    assert refused.value.wait_s == 15


class TestOverHttp:
    @pytest.fixture
    def url(self) -> Iterator[str]:
        with serving(ScriptedEngine(), settings=keys(Limits(requests=1))) as url:
            yield url.replace("ws://", "http://") + "/v1"

    def test_who_has_used_up_what_he_may_take_is_told_when_to_come_back(self, url: str) -> None:
        with openai.OpenAI(base_url=url, api_key="abc", max_retries=0) as phone:
            phone.images.generate(prompt="x")
            with pytest.raises(openai.RateLimitError, match="1 requests a minute") as refused:
                phone.images.generate(prompt="x")
            assert phone.models.list().data  # asking what there is costs nothing
        assert 1 <= int(refused.value.response.headers["Retry-After"]) <= 60
        assert refused.value.type == "rate_limit_error"
        assert refused.value.code == "rate_limit_exceeded"
        with openai.OpenAI(base_url=url, api_key="def", max_retries=0) as web:
            web.images.generate(prompt="x")

    def test_bytes_count_too(self) -> None:
        with serving(ScriptedEngine(), settings=keys(Limits(bytes=100))) as url:
            base = url.replace("ws://", "http://")
            body = {"prompt": "x" * 200}
            assert httpx.post(f"{base}/v1/images/generations", json=body, headers=PHONE).status_code == 200
            assert httpx.post(f"{base}/v1/images/generations", json=body, headers=PHONE).status_code == 429


class TestOnASocket:
    def test_answers(self) -> None:
        with serving(ScriptedEngine(), settings=keys(Limits(requests=1, steps=1000))) as url:
            with connected(url, additional_headers=PHONE) as client:
                client.say("a red ball")
                client.answer()
                told = client.until("rate_limits.updated")
                assert [limit["name"] for limit in told["rate_limits"]] == ["requests"]
                assert told["rate_limits"][0]["remaining"] == 0
                assert told["omni"]["rate_limits"][0]["name"] == "steps"
                error = client.refused({"type": "response.create", "event_id": "mine"})
                assert (error["type"], error["code"], error["event_id"]) == (
                    "rate_limit_error",
                    "rate_limit_exceeded",
                    "mine",
                )
            with connected(url, additional_headers=WEB) as client:
                client.say("a red ball")
                client.answer()
                client.refused({"type": "input_audio_buffer.commit"})
                assert "rate_limits.updated" not in client.types()

    def test_the_sdk_goes_on_and_tells_when_to_come_back(self) -> None:
        with serving(ScriptedEngine(), settings=keys(Limits(requests=1))) as url, Client(url, api_key="abc") as omni:
            assert omni.ask("a ball").text == "here it is"
            with pytest.raises(ServerError, match=r"1 requests a minute .* try again in \d+ s"):
                omni.ask("a ball")

    def test_frames(self) -> None:
        settings = keys(Limits(bytes=1000))
        with (
            serving(ScriptedEngine(), settings=settings) as url,
            connected(url, additional_headers=PHONE) as client,
        ):
            client.say("x" * 2000)
            error = client.ask({"type": "input_audio_buffer.clear"})["error"]
        assert error["code"] == "rate_limit_exceeded"
        assert "1000 bytes a minute" in error["message"]

    def test_sessions_and_those_of_its_ephemeral_keys(self) -> None:
        with serving(ScriptedEngine(), settings=keys(Limits(sessions=1))) as url:
            made = httpx.post(f"{url.replace('ws://', 'http://')}/v1/realtime/client_secrets", headers=PHONE).json()
            with connected(url, additional_headers=PHONE):
                for shown in (PHONE, {"Authorization": f"Bearer {made['value']}"}):
                    with pytest.raises(InvalidStatus) as refused, connected(url, additional_headers=shown):
                        pass
                    assert refused.value.response.status_code == 429
                    assert refused.value.response.headers["Retry-After"] == "5"
                    assert json.loads(refused.value.response.body)["error"]["type"] == "rate_limit_error"
                with connected(url, additional_headers=WEB):
                    pass
