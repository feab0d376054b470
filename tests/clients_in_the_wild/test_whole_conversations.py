"""openai-python, sync and async, in whole conversations with the embedded model: words, a voice, a picture, a tool, an
interruption."""

import base64
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients_in_the_wild.checks import BACKGROUND, DESCRIBE, check_heard, check_sound
from tests.clients_in_the_wild.conftest import KEY

pytestmark = pytest.mark.wild
TOOL = {
    "type": "function",
    "name": "set_light",
    "description": "Turn the light of a room on or off",
    "parameters": {
        "type": "object",
        "properties": {
            "room": {"type": "string", "enum": ["kitchen", "hall"]},
            "state": {"type": "string", "enum": ["on", "off"]},
        },
        "required": ["room", "state"],
    },
}
# What is waited for, and what is done then: a conversation as a script, so that it can be held either way.
Step = tuple[str, Callable[[Any], dict[str, Any] | list[dict[str, Any]]]]


def message(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": list(content)}}


def words(text: str) -> dict[str, Any]:
    return message({"type": "input_text", "text": text})


def asking(**response: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": response}


def script(output: str, spoken: Path, picture: Path) -> Iterator[Step]:
    with wave.open(str(spoken)) as file:
        pcm = file.readframes(file.getnframes())
    appends = [
        {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm[first : first + 48_000]).decode()}
        for first in range(0, len(pcm), 48_000)
    ]
    shown = "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
    text = {"output_modalities": ["text"], "metadata": {"omni_output": "text"}}
    yield (
        "session.created",
        lambda _: {"type": "session.update", "session": {"type": "realtime", "output_modalities": [output]}},
    )
    yield "session.updated", lambda _: [words("draw a red apple"), asking()]
    yield "response.done", lambda _: [*appends, {"type": "input_audio_buffer.commit"}, asking()]
    looked_at = message({"type": "input_image", "image_url": shown}, {"type": "input_text", "text": DESCRIBE})
    yield "response.done", lambda _: [looked_at, asking(**text)]
    calling = asking(tools=[TOOL], tool_choice="required", output_modalities=["text"])
    yield "response.done", lambda _: [words("turn the light off in the hall"), calling]
    yield "response.done", given
    yield "response.output_item.added", lambda _: {"type": "response.cancel"}
    yield "response.done", lambda _: [words("draw a banana"), asking()]
    yield "response.done", lambda _: []


def given(done: Any) -> list[dict[str, Any]]:
    output = {"type": "function_call_output", "call_id": done.response.output[0].call_id, "output": "the light is off"}
    return [{"type": "conversation.item.create", "item": output}, words("draw a cat"), asking()]


def check(events: list[Any], output: str) -> None:
    assert not [event for event in events if event.type == "error"]
    answers = [event.response for event in events if event.type == "response.done"]
    assert [answer.status for answer in answers] == ["completed"] * 4 + ["cancelled", "completed"]
    if output == "text":  # who asks for sound alone is told of no pictures
        assert answers[0].output[0].omni["images"]
    heard = [event.transcript for event in events if event.type.endswith("input_audio_transcription.completed")]
    check_heard(heard[0])
    assert BACKGROUND in answers[2].output[0].content[0].text
    assert (answers[3].output[0].name, answers[3].output[0].arguments.replace(" ", "")) == (
        "set_light",
        '{"room":"hall","state":"off"}',
    )
    for answer in (*answers[:3], answers[5]):  # the words of the command alone decide the call
        assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens > 0
    if output == "audio":
        written, spoken, _shown, _called, interrupted, _last = (sound_of(events, answer.id) for answer in answers)
        check_sound(written)
        check_sound(spoken)
        assert len(interrupted) < len(written)


def sound_of(events: list[Any], response_id: str) -> str:
    """What was heard of an answer, in base64."""
    deltas = [
        base64.b64decode(event.delta)
        for event in events
        if event.type == "response.output_audio.delta" and event.response_id == response_id
    ]
    return base64.b64encode(b"".join(deltas)).decode()


def sent(step: dict[str, Any] | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return step if isinstance(step, list) else [step]


@contextmanager
def connection(url: str) -> Iterator[Any]:
    with (
        OpenAI(base_url=url.replace("ws://", "http://") + "/v1", api_key=KEY) as client,
        client.realtime.connect(model="omni") as connected,
    ):
        yield connected


@asynccontextmanager
async def async_connection(url: str) -> AsyncIterator[Any]:
    async with (
        AsyncOpenAI(base_url=url.replace("ws://", "http://") + "/v1", api_key=KEY) as client,
        client.realtime.connect(model="omni") as connected,
    ):
        yield connected


def test_sync(embedded: tuple[str, str], spoken: Path, picture: Path) -> None:
    url, output = embedded
    events = []
    with connection(url) as connected:
        for kind, react in script(output, spoken, picture):
            while not events or events[-1].type != kind:
                events.append(connected.recv())
            for event in sent(react(events[-1])):
                connected.send(event)
            events.append(events[-1].model_copy(update={"type": "reacted"}))
    check(events, output)


@pytest.mark.anyio
async def test_async(embedded: tuple[str, str], spoken: Path, picture: Path) -> None:
    url, output = embedded
    events = []
    async with async_connection(url) as connected:
        for kind, react in script(output, spoken, picture):
            while not events or events[-1].type != kind:
                events.append(await connected.recv())
            for event in sent(react(events[-1])):
                await connected.send(event)
            events.append(events[-1].model_copy(update={"type": "reacted"}))
    check(events, output)
