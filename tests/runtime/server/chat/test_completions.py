"""Chat completions as the stock openai client uses them."""

import base64
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import numpy as np
import openai
import pydantic
import pytest
import soundfile
from PIL import Image

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.engine.request import ImagePart, SpeechPart, TextPart
from runtime.executors.in_process import InProcessExecutor
from runtime.server.model_card import ModelCard, PictureShape
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiny_model import tiny_model

LIGHT = {
    "type": "function",
    "function": {
        "name": "set_light",
        "description": "Turn a light on or off.",
        "parameters": {
            "type": "object",
            "properties": {
                "room": {"type": "string", "enum": ["kitchen", "hall"]},
                "on": {"type": "boolean"},
            },
            "required": ["room", "on"],
        },
    },
}
ASK = [{"role": "user", "content": "a red ball"}]


def base(url: str) -> str:
    return url.replace("ws://", "http://") + "/v1"


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def url(engine: ScriptedEngine) -> Iterator[str]:
    with serving(engine) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base(url), api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
def speaking(engine: ScriptedEngine) -> Iterator[openai.OpenAI]:
    with (
        serving(engine, SPEAKING_MODEL) as url,
        openai.OpenAI(base_url=base(url), api_key="any", max_retries=0) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def tiny() -> Iterator[openai.OpenAI]:
    """Before a real model with random weights."""
    model = tiny_model()
    card = ModelCard("tiny", EMBEDDED_RECIPES, PictureShape(80, 80, 10, 10))
    with (
        serving(DenoisingEngine(model, InProcessExecutor(model.backbone)), card) as url,
        openai.OpenAI(base_url=base(url), api_key="any", max_retries=0) as client,
    ):
        yield client


def create(client: openai.OpenAI, messages: Any = ASK, **options: Any) -> Any:
    return client.chat.completions.create(model="omni", messages=messages, **options)


def picture(width: int = 8, height: int = 8, kind: str = "PNG") -> str:
    file = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


def recording(seconds: float = 0.5) -> str:
    file = io.BytesIO()
    soundfile.write(file, np.full(round(16_000 * seconds), 0.1), 16_000, format="WAV")
    return base64.b64encode(file.getvalue()).decode()


class TestAnswers:
    def test_words_and_a_picture(self, client: openai.OpenAI) -> None:
        answer = create(client)
        message = answer.choices[0].message
        assert (answer.object, answer.model, answer.choices[0].finish_reason) == (
            "chat.completion",
            "omni-test",
            "stop",
        )
        assert (message.role, message.content) == ("assistant", "here it is")
        (image,) = message.images
        assert image["type"] == "image_url"
        head, _, encoded = image["image_url"]["url"].partition(",")
        assert head == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(encoded))).size == (32, 32)
        assert answer.usage.prompt_tokens == 3
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert answer.usage.completion_tokens_details.model_extra["image_tokens"] == 16

    def test_words_alone(self, client: openai.OpenAI) -> None:
        message = create(client, modalities=["text"]).choices[0].message
        assert message.content == "here it is"
        assert "images" not in message.model_extra

    def test_streamed(self, client: openai.OpenAI) -> None:
        chunks = list(create(client, stream=True, stream_options={"include_usage": True}))
        assert chunks[0].choices[0].delta.role == "assistant"
        deltas = [chunk.choices[0].delta for chunk in chunks[:-1]]
        words = [delta.content for delta in deltas if delta.content]
        assert len(words) > 1
        assert "".join(words) == "here it is"
        assert sum(len(delta.model_extra.get("images", [])) for delta in deltas) == 1
        assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 2) + ["stop"]
        assert (chunks[-1].choices, chunks[-1].usage.prompt_tokens) == ([], 3)
        assert len({chunk.id for chunk in chunks}) == 1

    def test_no_usage_unless_it_is_asked_for(self, client: openai.OpenAI) -> None:
        assert all(chunk.usage is None and chunk.choices for chunk in create(client, stream=True))

    @pytest.mark.anyio
    async def test_awaited(self, url: str) -> None:
        async with openai.AsyncOpenAI(base_url=base(url), api_key="any", max_retries=0) as client:
            messages: Any = ASK
            whole = await client.chat.completions.create(model="omni", messages=messages)
            assert whole.choices[0].message.content == "here it is"
            chunks = await client.chat.completions.create(model="omni", messages=messages, stream=True)
            assert await joined(chunks) == "here it is"

    def test_the_streaming_helper_of_the_client(self, client: openai.OpenAI) -> None:
        messages: Any = ASK
        with client.chat.completions.stream(model="omni", messages=messages) as stream:
            final = stream.get_final_completion()
        assert final.choices[0].message.content == "here it is"

    def test_the_same_seed_gives_the_same_answer(self, tiny: openai.OpenAI) -> None:
        first, again, other = (create(tiny, seed=seed).choices[0].message for seed in (5, 5, 6))
        assert first.images == again.images
        assert first.images != other.images

    @pytest.mark.parametrize("stream", [False, True])
    def test_cut_short(self, tiny: openai.OpenAI, stream: bool) -> None:
        answer = create(tiny, modalities=["text", "image"], max_completion_tokens=2, stream=stream)
        last = list(answer)[-1] if stream else answer
        assert last.choices[0].finish_reason == "length"

    def test_numbers_of_the_answer(self, client: openai.OpenAI, engine: ScriptedEngine) -> None:
        create(client, max_completion_tokens=3, temperature=0.5, seed=9, extra_body={"omni": {"steps": 2}})
        (request,) = engine.submitted
        slots = {slot.name: slot for slot in request.recipe.slots}
        assert (request.seed, slots["text"].length, slots["text"].temperature, slots["image"].steps) == (9, 3, 0.5, 2)


async def joined(chunks: AsyncIterator[Any]) -> str:
    return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


class TestWhatIsRead:
    def test_pictures_and_recordings(self, client: openai.OpenAI, engine: ScriptedEngine) -> None:
        content = [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": picture(12, 6), "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": recording(), "format": "wav"}},
        ]
        answer = create(client, [{"role": "user", "content": content}], modalities=["text"])
        text, image, speech = engine.submitted[0].turns[-1].parts
        assert text == TextPart("look")
        assert isinstance(image, ImagePart)
        assert image.pixels.shape == (6, 12, 3)
        assert isinstance(speech, SpeechPart)
        assert (speech.sample_rate_hz, len(speech.pcm)) == (16_000, 8_000)
        assert answer.model_extra["omni"]["transcript"] == "a red ball"

    def test_a_whole_conversation(self, client: openai.OpenAI, engine: ScriptedEngine) -> None:
        first = create(client).choices[0].message
        messages = [
            {"role": "developer", "content": "be brief"},
            *ASK,
            first,
            {"role": "user", "content": "what is it?"},
        ]
        create(client, messages, modalities=["text"])
        turns = engine.submitted[1].turns
        assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
        words, shown = turns[2].parts
        assert words == TextPart("here it is")
        assert isinstance(shown, ImagePart)


class TestSpeech:
    ASK = (
        {
            "role": "user",
            "content": [{"type": "input_audio", "input_audio": {"data": recording(), "format": "wav"}}],
        },
    )

    @pytest.mark.parametrize("kind", ["wav", "mp3", "flac", "opus"])
    def test_spoken(self, speaking: openai.OpenAI, kind: str) -> None:
        audio = {"voice": "alloy", "format": kind}
        message = create(speaking, list(self.ASK), modalities=["text", "audio"], audio=audio).choices[0].message
        assert message.content is None
        assert message.audio.transcript == "here it is"
        samples, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(message.audio.data)))
        assert len(samples) / rate_hz == pytest.approx(0.5, abs=0.1)
        assert message.audio.id.startswith("audio_")

    def test_streamed(self, speaking: openai.OpenAI) -> None:
        audio = {"voice": "alloy", "format": "pcm16"}
        chunks = list(create(speaking, list(self.ASK), modalities=["text", "audio"], audio=audio, stream=True))
        told = [chunk.choices[0].delta.model_dump(exclude_none=True).get("audio", {}) for chunk in chunks]
        assert "".join(piece.get("transcript", "") for piece in told) == "here it is"
        sound = b"".join(base64.b64decode(piece.get("data", "")) for piece in told)
        assert len(sound) == pytest.approx(2 * 24_000 * 0.5, abs=200)
        assert len([piece for piece in told if "id" in piece]) == 1

    def test_a_model_that_does_not_speak(self, client: openai.OpenAI) -> None:
        with pytest.raises(openai.BadRequestError, match="this model answers in text") as refused:
            create(client, modalities=["text", "audio"], audio={"voice": "alloy", "format": "wav"})
        assert refused.value.param == "modalities"


class TestTools:
    def test_a_call_and_its_answer(self, tiny: openai.OpenAI) -> None:
        messages: list[Any] = [{"role": "user", "content": "turn the light in the hall on"}]
        answer = create(tiny, messages, tools=[LIGHT])
        (call,) = answer.choices[0].message.tool_calls
        assert (answer.choices[0].finish_reason, call.function.name) == ("tool_calls", "set_light")
        assert json.loads(call.function.arguments).keys() == {"room", "on"}
        assert json.loads(call.function.arguments)["room"] == "hall"
        assert answer.choices[0].message.content is None
        messages += [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "hall: on"}]
        again = create(tiny, messages, tools=[LIGHT])
        assert again.choices[0].finish_reason == "stop"
        assert again.choices[0].message.tool_calls is None

    def test_a_call_in_chunks(self, tiny: openai.OpenAI) -> None:
        choice = {"type": "function", "function": {"name": "set_light"}}
        chunks = list(create(tiny, tools=[LIGHT], tool_choice=choice, stream=True))
        calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
        assert (calls[0].index, calls[0].type, calls[0].function.name) == (0, "function", "set_light")
        assert json.loads("".join(call.function.arguments for call in calls)).keys() == {"room", "on"}
        assert chunks[-1].choices[0].finish_reason == "tool_calls"

    def test_no_call_where_none_is_allowed(self, client: openai.OpenAI, engine: ScriptedEngine) -> None:
        answer = create(client, [{"role": "user", "content": "light on"}], tools=[LIGHT], tool_choice="none")
        assert answer.choices[0].message.tool_calls is None

    def test_an_answer_of_a_form(self, tiny: openai.OpenAI) -> None:
        class Order(pydantic.BaseModel):
            size: Literal["small", "large"]
            count: int

        messages: Any = [{"role": "user", "content": "two large apples"}]
        parsed = tiny.chat.completions.parse(model="tiny", messages=messages, response_format=Order)
        assert parsed.choices[0].message.parsed == Order(size="large", count=2)
        assert parsed.choices[0].finish_reason == "stop"
        with tiny.chat.completions.stream(model="tiny", messages=messages, response_format=Order) as stream:
            assert stream.get_final_completion().choices[0].message.parsed == Order(size="large", count=2)


@pytest.mark.parametrize(
    ("options", "param", "told"),
    [
        ({"n": 2}, "n", "one answer is made at a time"),
        ({"stop": ["."]}, "stop", "stop is not supported"),
        ({"logprobs": True}, "logprobs", "not supported"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", "omni.generation.text.repeat_penalty"),
        ({"functions": [{"name": "x"}]}, "functions", "use tools"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "without stream"),
        ({"temperature": 9}, "temperature", "<= 2"),
        ({"modalities": ["smell"]}, "modalities[0]", "'audio'"),
        ({"response_format": {"type": "json_object"}}, "response_format.type", "json_schema"),
        ({"tool_choice": "required"}, "tool_choice", "there are no tools"),
        ({"extra_body": {"colour": "red"}}, "colour", "unknown parameter"),
        ({"extra_body": {"omni": {"output": ["speech"]}}}, "modalities", "does not speak"),
        ({"modalities": ["text", "audio"]}, "audio", "send audio"),
        (
            {"modalities": ["audio"], "audio": {"voice": "a", "format": "mp3"}, "stream": True},
            "audio.format",
            "only pcm16",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "array"}}}},
            "response_format.json_schema.schema",
            "are an object",
        ),
    ],
)
def test_what_cannot_be_done(client: openai.OpenAI, options: dict[str, Any], param: str, told: str) -> None:
    with pytest.raises(openai.BadRequestError, match=told) as refused:
        create(client, **options)
    assert refused.value.param == param


def test_a_model_that_fails(client: openai.OpenAI, engine: ScriptedEngine) -> None:
    engine.fails = "out of memory"
    with pytest.raises(openai.InternalServerError, match="out of memory"):
        create(client)
    with pytest.raises(openai.APIError, match="out of memory"):
        list(create(client, stream=True))
