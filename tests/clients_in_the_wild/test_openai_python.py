"""The server as the stock openai client sees it: nothing of ours on the client's side."""

import base64
import io
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.realtime import RealtimeServerEvent
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from omnisdk.protocol.audio import MU_LAW
from runtime.server.keys import Limits
from runtime.server.settings import ServerSettings
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.sent_frames import SentFrames
from tests.support.wire_client import WireClient, connected, image_item, speech, text_item

SPOKEN = Path(__file__).parents[2] / "clients" / "terminal" / "request.wav"
SERVER_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)


def spoken_words() -> np.ndarray:
    """A voice, 24 kHz."""
    with wave.open(str(SPOKEN)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, ScriptedEngine]]:
    engine = ScriptedEngine()
    with serving(engine) as url:
        yield url, engine


@pytest.fixture
def engine(server: tuple[str, ScriptedEngine]) -> Iterator[ScriptedEngine]:
    yield server[1]
    server[1].hold, server[1].fails = False, None


@pytest.fixture
def client(server: tuple[str, ScriptedEngine]) -> Iterator[OpenAI]:
    with OpenAI(base_url=server[0].replace("ws://", "http://") + "/v1", api_key="any") as client:
        yield client


def ask_in_words(connection: Any, text: str, **response: Any) -> list[Any]:
    """Every event of a written turn, the last of them response.done."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    connection.conversation.item.create(item=item)
    return ask(connection, **response)


def ask(connection: Any, **response: Any) -> list[Any]:
    connection.response.create(response=response)
    events = []
    for event in connection:
        assert event.type != "error", event
        events.append(event)
        if event.type == "response.done":
            break
    return events


class TestStockClient:
    def test_text_in_text_out(self, client: OpenAI) -> None:
        with client.realtime.connect(model="any-name") as connection:
            events = ask_in_words(connection, "draw a red ball")
        assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "here it is"
        assert events[-1].response.status == "completed"
        assert events[-1].response.output[0].content[0].text == "here it is"

    def test_speech_in_text_out(self, client: OpenAI) -> None:
        with client.realtime.connect(model="any-name") as connection:
            connection.session.update(
                session={
                    "type": "realtime",
                    "output_modalities": ["text"],
                    "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": None}},
                }
            )
            connection.input_audio_buffer.append(audio=speech(24_000))
            connection.input_audio_buffer.commit()
            events = ask(connection)
        transcripts = [
            event.transcript for event in events if event.type.endswith("input_audio_transcription.completed")
        ]
        assert transcripts == ["a red ball"]
        assert next(event.text for event in events if event.type == "response.output_text.done") == "here it is"

    def test_the_picture_is_at_its_address(self, client: OpenAI) -> None:
        with client.realtime.connect(model="any-name") as connection:
            done = ask_in_words(connection, "a red ball")[-1].response
        picture = done.output[0].omni["images"][0]
        image = Image.open(io.BytesIO(httpx.get(picture["url"]).content))
        assert image.size == (picture["width"], picture["height"])

    def test_two_turns_in_one_session(self, client: OpenAI) -> None:
        with client.realtime.connect(model="any-name") as connection:
            ask_in_words(connection, "a red ball")
            done = ask_in_words(connection, "and what is it?", metadata={"omni_output": "text"})[-1].response
        assert (done.status, done.metadata) == ("completed", {"omni_output": "text"})

    def test_cancel(self, client: OpenAI, engine: ScriptedEngine) -> None:
        engine.hold = True
        with client.realtime.connect(model="any-name") as connection:
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a ball"}]}
            connection.conversation.item.create(item=item)
            connection.response.create()
            for event in connection:
                if event.type == "response.output_item.added":
                    connection.response.cancel()
                if event.type == "response.done":
                    break
        assert event.response.status == "cancelled"

    def test_what_it_may_not_do_is_told(self, client: OpenAI) -> None:
        with client.realtime.connect(model="any-name") as connection:
            connection.session.update(session={"type": "realtime", "prompt": {"id": "pmpt_1"}})
            error = next(event.error for event in connection if event.type == "error")
            assert error.param == "session.prompt"
            assert ask_in_words(connection, "a red ball")[-1].response.status == "completed"

    def test_its_list_of_models(self, client: OpenAI) -> None:
        assert [model.id for model in client.models.list()] == ["omni-test"]

    @pytest.mark.anyio
    async def test_async_with_the_extension_by_hand(self, server: tuple[str, ScriptedEngine]) -> None:
        seen = []
        async with (
            AsyncOpenAI(base_url=server[0].replace("ws://", "http://") + "/v1", api_key="any") as client,
            client.realtime.connect(model="any-name", extra_query={"omni": "1"}) as connection,
        ):
            item: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a ball"}]}
            await connection.conversation.item.create(item=item)
            await connection.response.create()
            async for event in connection:
                seen.append(event.type)
                if event.type == "response.done":
                    break
        assert "omni.image.partial" in seen


AUDIO: Any = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "audio": {
        "input": {"format": {"type": "audio/pcm", "rate": 24000}, "turn_detection": None},
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy"},
    },
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of a model that speaks."""
    with serving(ScriptedEngine(speech_s=3.0), SPEAKING_MODEL) as url:
        yield url


class TestAudio:
    def test_speech_in_speech_out(self, url: str) -> None:
        with (
            OpenAI(base_url=url.replace("ws://", "http://") + "/v1", api_key="any") as client,
            client.realtime.connect(model="any-name") as connection,
        ):
            connection.session.update(session=AUDIO)
            connection.input_audio_buffer.append(audio=speech(24_000))
            connection.input_audio_buffer.commit()
            events = ask(connection)
        deltas = [event.delta for event in events if event.type == "response.output_audio.delta"]
        assert sum(len(base64.b64decode(delta)) for delta in deltas) == 3 * 24_000 * 2
        words = [event.delta for event in events if event.type == "response.output_audio_transcript.delta"]
        assert "".join(words) == "here it is"
        (part,) = events[-1].response.output[0].content
        assert (part.type, part.transcript) == ("output_audio", "here it is")
        assert events[-1].response.output_modalities == ["audio"]
        assert events[-1].response.usage.output_token_details.audio_tokens == 25

    @pytest.mark.anyio
    async def test_async_with_a_text_read_aloud(self, url: str) -> None:
        heard = b""
        async with (
            AsyncOpenAI(base_url=url.replace("ws://", "http://") + "/v1", api_key="any") as client,
            client.realtime.connect(model="any-name") as connection,
        ):
            item: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "good morning"}]}
            await connection.conversation.item.create(item=item)
            await connection.response.create(response={"output_modalities": ["audio"]})
            async for event in connection:
                if event.type == "response.output_audio.delta":
                    heard += base64.b64decode(event.delta)
                if event.type == "response.output_audio_transcript.done":
                    assert event.transcript == "good morning"
                if event.type == "response.done":
                    break
        assert len(heard) == 3 * 24_000 * 2

    def test_every_frame_of_spoken_answers_is_one_it_knows(self, url: str) -> None:
        with connected(url, max_frame_bytes=2**20) as plain:
            plain.ask({"type": "session.update", "session": AUDIO}, "session.updated")
            plain.speak()
            plain.answer()
            plain.say("good morning")
            item_id = plain.answer()["output"][0]["id"]
            plain.ask({"type": "conversation.item.retrieve", "item_id": item_id}, "conversation.item.retrieved")
            fast = {"audio": {"output": {"speed": 1.5}}}
            plain.ask({"type": "session.update", "session": fast}, "session.updated")
            before = len(plain.seen)
            plain.answer()
            sound = [event["delta"] for event in plain.seen[before:] if event["type"] == "response.output_audio.delta"]
            assert sum(len(base64.b64decode(delta)) for delta in sound) == pytest.approx(2 * 24_000 * 2, abs=8)
            truncate = {"item_id": item_id, "content_index": 0, "audio_end_ms": 10}
            plain.ask({"type": "conversation.item.truncate", **truncate}, "conversation.item.truncated")
            plain.answer(output_modalities=["text"], metadata={"omni_output": "image"})
            for event in plain.seen:
                SERVER_EVENT.validate_python(event, strict=True)

    def test_a_model_that_does_not_speak_says_so_and_answers_in_text(self, client: OpenAI) -> None:
        with client.realtime.connect(model="any-name") as connection:
            connection.session.update(session=AUDIO)
            error = next(event.error for event in connection if event.type == "error")
            assert error.param == "session.output_modalities"
            assert ask_in_words(connection, "a red ball")[-1].response.output[0].content[0].text == "here it is"


class TestContract:
    """Every frame for a client that did not opt in is one the stock client knows, to the letter."""

    def test_turns_that_are_heard_and_functions_that_are_called(self, plain: WireClient) -> None:
        tool = {"type": "function", "name": "stop", "description": "Stop.", "parameters": {"type": "object"}}
        input_settings = {"format": {"type": "audio/pcmu"}, "turn_detection": {"type": "semantic_vad"}}
        session = {"type": "realtime", "tools": [tool], "audio": {"input": input_settings}}
        plain.ask({"type": "session.update", "session": session}, "session.updated")
        voice = MU_LAW.wire_bytes(spoken_words()[::3])
        audio = base64.b64encode(voice + MU_LAW.wire_bytes(np.zeros(16_000, np.int16))).decode()
        plain.ask({"type": "input_audio_buffer.append", "audio": audio}, "response.done")
        item = plain.answer(tool_choice="required")["output"][0]
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": "stopped"}
        plain.ask({"type": "conversation.item.create", "item": output}, "conversation.item.done")
        plain.answer(conversation="none", input=[{"type": "item_reference", "id": item["id"]}, text_item("and now?")])
        kinds = set(plain.types())
        assert {"input_audio_buffer.speech_started", "response.function_call_arguments.done"} <= kinds

    @pytest.fixture
    def plain(self, server: tuple[str, ScriptedEngine]) -> Iterator[WireClient]:
        with connected(server[0]) as client:
            yield client
            for event in client.seen:
                SERVER_EVENT.validate_python(event, strict=True)

    def test_an_event_of_the_extension_would_not_pass(self) -> None:
        with pytest.raises(ValidationError):
            SERVER_EVENT.validate_python({"type": "omni.progress", "event_id": "e"}, strict=True)

    def test_what_a_server_sends_is_recorded_and_held_against_it(self) -> None:
        frames = SentFrames()
        with serving(ScriptedEngine(), recording=frames) as url:
            with connected(url):
                assert frames.check() == ["session.created"]
            with connected(url, query="?omni=1") as client:
                client.until("omni.session.capabilities")
                with pytest.raises(ValidationError):
                    frames.check()

    def test_a_written_and_a_spoken_turn(self, plain: WireClient) -> None:
        plain.say("a red ball")
        plain.answer(metadata={"client_event_id": "c1"})
        plain.speak()
        plain.answer()

    def test_what_a_key_has_left_and_used_up(self) -> None:
        limits = Limits(requests=1, tokens=1000, steps=1000, bytes=10**6)
        with serving(ScriptedEngine(), settings=ServerSettings(limits=limits)) as url, connected(url) as client:
            client.say("a red ball")
            client.answer()
            told = client.until("rate_limits.updated")
            assert [limit["name"] for limit in told["rate_limits"]] == ["requests", "tokens"]
            assert client.refused({"type": "response.create"})["type"] == "rate_limit_error"
        for event in client.seen:
            SERVER_EVENT.validate_python(event, strict=True)

    def test_items(self, plain: WireClient) -> None:
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "PNG")
        create = {"type": "conversation.item.create", "item": image_item(file.getvalue())}
        plain.ask(create, "conversation.item.done")
        item_id = plain.speak()["item"]["id"]
        plain.ask({"type": "conversation.item.retrieve", "item_id": item_id}, "conversation.item.retrieved")
        plain.ask({"type": "conversation.item.delete", "item_id": item_id}, "conversation.item.deleted")
        plain.ask({"type": "input_audio_buffer.clear"}, "input_audio_buffer.cleared")

    def test_settings(self, plain: WireClient) -> None:
        session = {
            "type": "realtime",
            "instructions": "be brief",
            "audio": {"input": {"transcription": {"model": "whisper-1"}}, "output": {"voice": "alloy"}},
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": 4096,
            "truncation": "auto",
            "tracing": None,
        }
        updated = plain.ask({"type": "session.update", "session": session}, "session.updated")["session"]
        assert updated["audio"]["input"]["transcription"] == {"model": "whisper-1"}

    @pytest.mark.parametrize("frame", ["{", "[]", '{"type": "nix"}', '{"type": "response.cancel"}', b"\x00"])
    def test_errors(self, plain: WireClient, frame: str | bytes) -> None:
        assert plain.refused(frame)["message"]

    def test_failed_cancelled_and_finalized_answers(self, plain: WireClient, engine: ScriptedEngine) -> None:
        plain.say("a red ball")
        engine.fails = "out of memory"
        assert plain.answer()["status"] == "failed"
        engine.fails, engine.hold = None, True
        plain.ask({"type": "response.create"}, "response.content_part.added")
        assert plain.ask({"type": "response.cancel"}, "response.done")["response"]["status"] == "cancelled"
        response_id = plain.ask({"type": "response.create"}, "response.created")["response"]["id"]
        plain.until("response.content_part.added")
        finalize = {"type": "omni.response.finalize", "response_id": response_id}
        assert plain.ask(finalize, "response.done")["response"]["status"] == "incomplete"

    @pytest.mark.parametrize("seconds", [1, 29])
    def test_frames_stay_below_a_mebibyte(self, server: tuple[str, ScriptedEngine], seconds: int) -> None:
        """Which is what many clients take at most."""
        with connected(server[0], max_frame_bytes=2**20) as client:
            item_id = client.speak(24_000 * seconds)["item"]["id"]
            client.ask({"type": "conversation.item.retrieve", "item_id": item_id}, "conversation.item.retrieved")
