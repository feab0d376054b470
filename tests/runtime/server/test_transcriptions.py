"""The transcription API as the stock openai client uses it."""

import io
import wave
from collections.abc import Iterator

import numpy as np
import openai
import pytest

from runtime.engine.request import SpeechPart
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(texts={"transcript": " a red ball "})


@pytest.fixture
def client(engine: ScriptedEngine) -> Iterator[openai.OpenAI]:
    with serving(engine) as url:
        base_url = url.replace("ws://", "http://") + "/v1"
        with openai.OpenAI(base_url=base_url, api_key="any", max_retries=0) as client:
            yield client


def wav(seconds: float = 0.5, rate_hz: int = 16_000, channels: int = 1, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(channels)
        recording.setsampwidth(width)
        recording.setframerate(rate_hz)
        recording.writeframes(np.full((round(seconds * rate_hz), channels), 7, f"<i{width}").tobytes())
    return file.getvalue()


def test_what_was_said(client: openai.OpenAI, engine: ScriptedEngine) -> None:
    heard = client.audio.transcriptions.create(model="omni", file=("a.wav", wav(channels=2, rate_hz=48_000)))
    assert heard.text == "a red ball"
    (part,) = engine.submitted[0].turns[-1].parts
    assert isinstance(part, SpeechPart)
    assert (part.sample_rate_hz, len(part.pcm), set(part.pcm.tolist())) == (48_000, 24_000, {7})


def test_other_forms(client: openai.OpenAI) -> None:
    create = client.audio.transcriptions.create
    assert create(model="omni", file=("a.wav", wav()), response_format="text").strip() == "a red ball"
    assert create(model="omni", file=("a.wav", wav()), response_format="verbose_json").duration == 0.5


@pytest.mark.parametrize(
    ("file", "options", "told"),
    [
        (b"OggS", {}, "this is no WAV file .* convert the recording"),
        (wav(width=4), {}, "samples of 32 bits came"),
        (wav(0.05), {}, "less than 100 ms"),
        (wav(31), {}, "31.0 s of audio came"),
        (wav(), {"response_format": "srt"}, "send json, text or verbose_json"),
    ],
)
def test_what_cannot_be_heard(client: openai.OpenAI, file: bytes, options: dict[str, str], told: str) -> None:
    with pytest.raises(openai.BadRequestError, match=told):
        client.audio.transcriptions.create(model="omni", file=("a.wav", file), **options)  # type: ignore[call-overload]


def test_a_model_that_fails(client: openai.OpenAI, engine: ScriptedEngine) -> None:
    engine.fails = "out of memory"
    with pytest.raises(openai.InternalServerError, match="out of memory"):
        client.audio.transcriptions.create(model="omni", file=("a.wav", wav()))
