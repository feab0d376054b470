"""Text to speech as the stock openai client uses it, before a scripted engine and before a real voice."""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import soundfile

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.recipe import PUBLISHED_RECIPES
from runtime.executors.in_process import InProcessExecutor
from runtime.server.model_card import ModelCard, PictureShape
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiny_model import tiny_model
from tests.support.tiny_voice import tiny_voice

SECONDS, RATE_HZ = 0.5, 24_000


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(speech_s=SECONDS)


@pytest.fixture
def client(engine: ScriptedEngine) -> Iterator[openai.OpenAI]:
    with serving(engine, SPEAKING_MODEL) as url:
        base_url = url.replace("ws://", "http://") + "/v1"
        with openai.OpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
            yield client


def say(client: openai.OpenAI, **options: Any) -> bytes:
    return client.audio.speech.create(model="omni", voice="alloy", input="good morning", **options).read()


@pytest.mark.parametrize("kind", ["mp3", "opus", "flac", "wav"])
def test_files(client: openai.OpenAI, kind: str) -> None:
    samples, rate_hz = soundfile.read(io.BytesIO(say(client, response_format=kind)), dtype="int16")
    assert rate_hz in (RATE_HZ, 48_000)  # Opus has one rate
    assert len(samples) / rate_hz == pytest.approx(SECONDS, abs=0.1)
    assert np.abs(samples).max() == pytest.approx(8192, rel=0.3)


def test_raw_samples(client: openai.OpenAI, engine: ScriptedEngine) -> None:
    assert len(say(client, response_format="pcm")) == pytest.approx(2 * SECONDS * RATE_HZ, abs=100)
    assert engine.submitted[0].recipe.name == "text_to_speech"


def test_streamed_as_a_file(client: openai.OpenAI) -> None:
    create = client.audio.speech.with_streaming_response.create
    with create(model="omni", voice="alloy", input="good morning", response_format="wav") as answer:
        assert answer.headers["content-type"] == "audio/wav"
        assert "content-length" not in answer.headers
        assert b"".join(answer.iter_bytes()).startswith(b"RIFF\xff\xff\xff\xff")


def test_streamed_as_events(client: openai.OpenAI) -> None:
    told = say(client, response_format="pcm", stream_format="sse").decode()
    assert told.count("speech.audio.delta") >= 1
    assert '"type":"speech.audio.done","usage":{"input_tokens":3' in told


def test_faster(client: openai.OpenAI) -> None:
    slow, fast = (say(client, response_format="pcm", speed=speed) for speed in (1.0, 2.0))
    assert len(fast) == pytest.approx(len(slow) / 2, abs=4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"speed": 5.0}, "speed: .*0.25 to 4"),
        ({"response_format": "aac"}, "response_format: .*'aac'.*'mp3'"),
        ({"extra_body": {"colour": 1}}, "unknown parameter 'colour'"),
    ],
)
def test_what_cannot_be_said(client: openai.OpenAI, options: dict[str, Any], told: str) -> None:
    with pytest.raises(openai.BadRequestError, match=told):
        say(client, **options)


def test_nothing_to_say(client: openai.OpenAI, engine: ScriptedEngine) -> None:
    engine.speech_s = 0
    with pytest.raises(openai.BadRequestError, match="nothing of this text can be said"):
        say(client)


def test_a_model_that_fails(client: openai.OpenAI, engine: ScriptedEngine) -> None:
    engine.fails = "out of memory"
    with pytest.raises(openai.InternalServerError, match="out of memory"):
        say(client)


def test_a_model_that_does_not_speak() -> None:
    with serving(ScriptedEngine()) as url:
        answer = httpx.post(url.replace("ws://", "http://") + "/v1/audio/speech", json={"input": "hello"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")
    assert "does not speak" in answer.json()["error"]["message"]


def test_a_real_voice_says_it_while_it_forms() -> None:
    """A whole model with random weights, its voice too: what is heard is noise, and the same for the same seed."""
    recipe = replace(PUBLISHED_RECIPES["text_to_speech"].slots[0], length=30, steps=6, adaptive=None, temperature=1.0)
    recipes = {"text_to_speech": replace(PUBLISHED_RECIPES["text_to_speech"], slots=(recipe,))}
    model = replace(tiny_model(num_speech=32), voice=tiny_voice(), recipes=recipes)
    card = ModelCard("tiny", recipes, PictureShape(80, 80, 10, 10))
    with (
        serving(DenoisingEngine(model, InProcessExecutor(model.backbone)), card) as url,
        openai.OpenAI(base_url=url.replace("ws://", "http://") + "/v1", api_key="any", max_retries=0) as client,
    ):
        first, again, other = (say(client, response_format="pcm", extra_body={"seed": seed}) for seed in (1, 1, 2))
    assert len(first) > RATE_HZ // 4
    assert np.frombuffer(first, "<i2").any()
    assert first == again
    assert first != other
