"""Turns of a real voice over a real socket, detected by the real detector."""

import base64
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from runtime.engine.request import SpeechPart
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import Event, WireClient, connected

SPOKEN = Path(__file__).parents[3] / "clients" / "terminal" / "request.wav"
RATE_HZ = 24_000
CHUNK = RATE_HZ // 10


def voice() -> np.ndarray:
    with wave.open(str(SPOKEN)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE_HZ), np.int16)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def client(engine: ScriptedEngine) -> Iterator[WireClient]:
    with serving(engine, SPEAKING_MODEL) as url, connected(url) as client:
        yield client


def listen(client: WireClient, **detection: object) -> None:
    audio = {"input": {"turn_detection": {"type": "server_vad", **detection}}}
    told: Event = client.ask({"type": "session.update", "session": {"audio": audio}}, "session.updated")
    assert told["session"]["audio"]["input"]["turn_detection"]["threshold"] == 0.5


def say(client: WireClient, *sounds: np.ndarray) -> None:
    said = np.concatenate(sounds)
    for first in range(0, len(said), CHUNK):
        audio = base64.b64encode(said[first : first + CHUNK].tobytes()).decode()
        client.send({"type": "input_audio_buffer.append", "audio": audio})


def test_a_turn_is_found_and_answered(client: WireClient, engine: ScriptedEngine) -> None:
    listen(client)
    say(client, silence(2), voice(), silence(1.5))
    done = client.until("response.done")["response"]
    assert done["status"] == "completed"
    kinds = client.types()
    order = ["input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed"]
    places = [kinds.index(kind) for kind in [*order, "conversation.item.added", "response.created"]]
    assert places == sorted(places)
    started, stopped = client.of_type(order[0])[0], client.of_type(order[1])[0]
    assert 1_400 <= started["audio_start_ms"] <= 2_300
    assert started["item_id"] == stopped["item_id"] == client.of_type(order[2])[0]["item_id"]
    (part,) = engine.submitted[0].turns[-1].parts
    assert isinstance(part, SpeechPart)
    seconds = (stopped["audio_end_ms"] - started["audio_start_ms"]) / 1000
    assert len(part.pcm) / part.sample_rate_hz == pytest.approx(seconds, abs=0.05)


def test_a_client_that_asks_for_nothing_is_listened_to_and_answered(client: WireClient) -> None:
    say(client, voice(), silence(1.5))
    assert client.until("response.done")["response"]["status"] == "completed"


def test_a_client_that_knows_the_extension_ends_its_turns_itself(engine: ScriptedEngine) -> None:
    with serving(engine, SPEAKING_MODEL) as url, connected(url, subprotocols=["omni.v1"]) as client:
        say(client, voice(), silence(1.5))
        client.ask({"type": "input_audio_buffer.commit"}, "conversation.item.done")
        assert not client.of_type("input_audio_buffer.speech_started")
    assert not engine.submitted


def test_two_turns_in_one_frame(client: WireClient) -> None:
    listen(client, create_response=False)
    both = np.concatenate([voice(), silence(1.5), voice(), silence(1.5)])
    client.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(both.tobytes()).decode()})
    client.until("input_audio_buffer.committed")
    client.until("input_audio_buffer.committed")
    assert "response.created" not in client.types()


def test_speech_interrupts_an_answer_and_is_answered_next(client: WireClient, engine: ScriptedEngine) -> None:
    listen(client)
    engine.hold = True
    say(client, voice(), silence(1.5))
    client.until("response.created")
    say(client, voice())
    cancelled = client.until("response.done")["response"]
    assert (cancelled["status"], cancelled["status_details"]["reason"]) == ("cancelled", "turn_detected")
    engine.hold = False
    say(client, silence(1.5))
    assert client.until("response.done")["response"]["status"] == "completed"


def test_speech_that_does_not_interrupt_waits_for_the_answer(client: WireClient, engine: ScriptedEngine) -> None:
    listen(client, interrupt_response=False)
    engine.hold = True
    say(client, voice(), silence(1.5))
    first = client.until("response.created")["response"]["id"]
    say(client, voice(), silence(1.5))
    client.until("input_audio_buffer.committed")
    engine.hold = False
    assert client.until("response.done")["response"]["id"] == first
    assert client.until("response.done")["response"]["status"] == "completed"


def test_silence_does_not_fill_the_buffer(client: WireClient) -> None:
    listen(client)
    say(client, silence(40))  # longer than a turn may be
    assert client.ask({"type": "input_audio_buffer.clear"}, "input_audio_buffer.cleared")
    assert "error" not in client.types()


def test_the_longest_turn_is_cut(client: WireClient) -> None:
    listen(client, create_response=False, silence_duration_ms=3_000)
    say(client, *[voice()] * 12)  # 37 s without a pause that ends a turn
    stopped = client.until("input_audio_buffer.speech_stopped")
    started = client.of_type("input_audio_buffer.speech_started")[0]
    assert 29_000 <= stopped["audio_end_ms"] - started["audio_start_ms"] <= 30_000


def test_a_commit_by_hand_ends_the_turn(client: WireClient) -> None:
    listen(client)
    say(client, voice())
    item_id = client.until("input_audio_buffer.speech_started")["item_id"]
    assert client.ask({"type": "input_audio_buffer.commit"}, "input_audio_buffer.committed")["item_id"] == item_id


class TestSilence:
    """After an answer, `idle_timeout_ms`."""

    def test_is_answered_once_it_lasts(self, client: WireClient, engine: ScriptedEngine) -> None:
        engine.speech_s = 0.1
        listen(client, idle_timeout_ms=300)
        client.ask({"type": "session.update", "session": {"output_modalities": ["audio"]}}, "session.updated")
        client.say("good morning")
        client.answer()
        began = time.monotonic()
        say(client, silence(1))
        told = client.until("input_audio_buffer.timeout_triggered")
        assert time.monotonic() - began >= 0.3 + 0.1 - 0.05  # the answer is heard first
        assert 0 <= told["audio_start_ms"] <= told["audio_end_ms"] <= 1_000
        assert client.until("input_audio_buffer.committed")["item_id"] == told["item_id"]
        assert client.until("response.done")["response"]["status"] == "completed"
        (part,) = engine.submitted[-1].turns[-1].parts[-1:]
        assert isinstance(part, SpeechPart)
        listen(client)  # or silence is answered for ever

    def test_speech_into_the_answer_is_none(self, client: WireClient, engine: ScriptedEngine) -> None:
        listen(client, idle_timeout_ms=100, create_response=False, interrupt_response=False)
        client.say("good morning")
        engine.hold = True
        client.ask({"type": "response.create"}, "response.created")
        say(client, voice()[: RATE_HZ * 2])
        client.until("input_audio_buffer.speech_started")
        engine.hold = False
        client.until("response.done")
        time.sleep(0.3)
        client.ask({"type": "input_audio_buffer.clear"}, "input_audio_buffer.cleared")
        assert "input_audio_buffer.timeout_triggered" not in client.types()

    def test_another_answer_begins_it_anew(self, client: WireClient, engine: ScriptedEngine) -> None:
        listen(client, idle_timeout_ms=100)
        client.say("good morning")
        client.answer()
        engine.hold = True
        client.send({"type": "response.create"})
        client.until("response.created")
        before = len(client.seen)
        time.sleep(0.3)
        engine.hold = False
        client.until("response.done")
        assert "input_audio_buffer.timeout_triggered" not in client.types()[before:]
