"""Transcripts over a real socket: an answer's own, and those nobody else makes."""

import math
from collections.abc import Iterator

import numpy as np
import pytest

from runtime.engine.output import SlotState, TextSpan
from runtime.server.hearing import logprobs
from tests.support.live_server import SPEAKING_MODEL, serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.wire_client import WireClient, connected

COMPLETED = "conversation.item.input_audio_transcription.completed"
FAILED = "conversation.item.input_audio_transcription.failed"
CLEAR = {"type": "input_audio_buffer.clear"}


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def client(engine: ScriptedEngine) -> Iterator[WireClient]:
    with serving(engine, SPEAKING_MODEL) as url, connected(url) as client:
        yield client


def transcribing(client: WireClient, **more: object) -> None:
    audio = {"input": {"transcription": {"model": "any"}}}
    client.ask({"type": "session.update", "session": {"audio": audio, **more}}, "session.updated")


def test_a_turn_that_nothing_answers_is_written_down(client: WireClient) -> None:
    transcribing(client)
    item_id = client.speak()["item"]["id"]
    told = client.until(COMPLETED)
    assert (told["item_id"], told["transcript"]) == (item_id, "a red ball")
    assert "logprobs" not in told
    asked = {"type": "conversation.item.retrieve", "item_id": item_id}
    assert client.ask(asked, "conversation.item.retrieved")["item"]["content"][0]["transcript"] == "a red ball"


def test_without_the_setting_nothing_is_made_for_it(client: WireClient, engine: ScriptedEngine) -> None:
    client.speak()
    client.ask(CLEAR, "input_audio_buffer.cleared")
    assert not engine.submitted


@pytest.mark.parametrize("wait", [True, False])
def test_a_transcript_is_told_once(client: WireClient, engine: ScriptedEngine, wait: bool) -> None:
    transcribing(client, output_modalities=["text"])  # whose recipe hears on its way
    engine.hold = not wait
    item_id = client.speak()["item"]["id"]
    if wait:
        client.until(COMPLETED)
    client.send({"type": "response.create"})
    client.until("response.created")
    engine.hold = False
    client.until("response.done")
    assert [told["item_id"] for told in client.of_type(COMPLETED)] == [item_id]
    assert wait or engine.cancelled == [engine.submitted[0].request_id]


def test_an_answer_that_hears_nothing_on_its_way_leaves_it_alone(client: WireClient) -> None:
    transcribing(client)
    client.speak()
    client.send({"type": "response.create", "response": {"output_modalities": ["audio"]}})
    client.until("response.done")
    while not client.of_type(COMPLETED):
        client.receive()
    assert len(client.of_type(COMPLETED)) == 1


def test_a_model_that_fails_is_told_beside_the_item(client: WireClient, engine: ScriptedEngine) -> None:
    transcribing(client)
    engine.fails = "out of memory"
    item_id = client.speak()["item"]["id"]
    told = client.until(FAILED)
    assert (told["item_id"], told["error"]["message"]) == (item_id, "out of memory")


def test_how_sure_it_is(client: WireClient) -> None:
    transcribing(client, include=["item.input_audio_transcription.logprobs"])
    client.speak()
    told = client.until(COMPLETED)["logprobs"]
    assert "".join(token["token"] for token in told) == "a red ball"
    assert all(token["logprob"] == pytest.approx(math.log(0.9)) for token in told)
    assert bytes(told[0]["bytes"]).decode() == told[0]["token"]


def test_what_cannot_be_included(client: WireClient) -> None:
    error = client.refused({"type": "session.update", "session": {"include": ["everything"]}})
    assert error["param"] == "session.include[0]"
    assert "item.input_audio_transcription.logprobs" in error["message"]


def test_no_token_is_sure_beyond_numbers() -> None:
    slot = SlotState("t", "text", np.zeros(1, np.int64), np.zeros(1, np.float32), "a", (TextSpan(0, 1, False, 0.0),))
    assert math.isfinite(logprobs(slot)[0].logprob)
