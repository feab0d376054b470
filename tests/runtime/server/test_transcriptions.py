"""The transcription API as the stock openai client uses it."""

import io
import wave
from collections.abc import Iterator
from typing import Any

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
    assert create(model="omni", file=("a.wav", wav()), response_format="srt") == (
        "1\n00:00:00,000 --> 00:00:00,500\na red ball\n\n"
    )
    assert create(model="omni", file=("a.wav", wav()), response_format="vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\na red ball\n\n"
    )
    verbose = create(
        model="omni", file=("a.wav", wav()), response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert (verbose.duration, verbose.text) == (0.5, "a red ball")
    assert [(segment.start, segment.end, segment.text) for segment in verbose.segments or ()] == [
        (0.0, 0.5, "a red ball")
    ]


def test_words_as_they_form(client: openai.OpenAI) -> None:
    told = list(client.audio.transcriptions.create(model="omni", file=("a.wav", wav()), stream=True))
    *deltas, done = told
    assert len(deltas) > 1
    assert all(event.type == "transcript.text.delta" for event in deltas)
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas if event.type == "transcript.text.delta") == done.text
    assert done.text == "a red ball"
    assert done.usage is not None


@pytest.mark.parametrize(
    ("file", "options", "told"),
    [
        (b"OggS", {}, "no audio that can be decoded .* allowed are WAV"),
        (wav(0.05), {}, "less than 100 ms"),
        (wav(31), {}, "more than 30 s of audio came"),
        (wav(), {"response_format": "xml"}, "invalid enum value 'xml'; send 'json' or"),
        (wav(), {"response_format": "srt", "stream": True}, "srt came with stream"),
        (wav(), {"timestamp_granularities": ["word"]}, "send 'segment'"),
        (wav(), {"extra_body": {"colour": "red"}}, "unknown parameter 'colour'"),
    ],
)
def test_what_cannot_be_heard(client: openai.OpenAI, file: bytes, options: dict[str, Any], told: str) -> None:
    with pytest.raises(openai.BadRequestError, match=told):
        client.audio.transcriptions.create(model="omni", file=("a.wav", file), **options)


def test_a_model_that_fails(client: openai.OpenAI, engine: ScriptedEngine) -> None:
    engine.fails = "out of memory"
    with pytest.raises(openai.InternalServerError, match="out of memory"):
        client.audio.transcriptions.create(model="omni", file=("a.wav", wav()))
    with pytest.raises(openai.APIError, match="out of memory"):
        list(client.audio.transcriptions.create(model="omni", file=("a.wav", wav()), stream=True))
