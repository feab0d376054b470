"""Function calls over a real socket, made by a real model with random weights: what it says means nothing, what it
says is valid."""

import json
from collections.abc import Iterator

import pytest

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.request import TextPart
from runtime.executors.in_process import InProcessExecutor
from tests.support.live_server import MODEL, serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiny_model import tiny_model
from tests.support.wire_client import Event, WireClient, connected

LIGHT: Event = {
    "type": "function",
    "name": "set_light",
    "description": "Turn a light on or off.",
    "parameters": {
        "type": "object",
        "properties": {
            "room": {"type": "string", "enum": ["kitchen", "hall"]},
            "level": {"type": "integer", "minimum": 0, "maximum": 10},
            "note": {"type": "string"},
        },
        "required": ["room", "level", "note"],
    },
}
TIMER: Event = {"type": "function", "name": "stop_timer", "description": "Stop the timer."}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    model = tiny_model()
    with serving(DenoisingEngine(model, InProcessExecutor(model.backbone)), MODEL) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[WireClient]:
    with connected(url) as client:
        client.ask({"type": "session.update", "session": {"tools": [LIGHT, TIMER]}}, "session.updated")
        yield client


def call(client: WireClient, **response: object) -> Event:
    (item,) = client.answer(**response)["output"]
    assert item["type"] == "function_call"
    return dict(item)


def test_a_call_is_valid_whatever_the_model_knows(client: WireClient) -> None:
    client.say("lights off in the kitchen")
    for seed in range(3):
        item = call(client, metadata={"n": str(seed)})
        arguments = json.loads(item["arguments"])
        assert item["name"] == "set_light"
        assert arguments["room"] in ("kitchen", "hall")
        assert arguments["level"] in range(11)
        assert isinstance(arguments["note"], str)


def test_a_call_that_is_cut_is_valid_and_says_so(client: WireClient) -> None:
    client.say("lights off in the hall")
    done = client.answer(max_output_tokens=1)
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    (item,) = done["output"]
    assert (item["status"], json.loads(item["arguments"])["room"]) == ("incomplete", "hall")


def test_events_come_in_the_order_clients_rely_on(client: WireClient) -> None:
    client.say("lights off")
    before = len(client.seen)
    item = call(client)
    kinds = client.types()[before:]
    assert kinds == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    done = client.of_type("response.function_call_arguments.done")[-1]
    assert (done["call_id"], done["arguments"]) == (item["call_id"], item["arguments"])


def test_what_shares_no_word_with_a_tool_is_answered(client: WireClient) -> None:
    client.say("draw a red ball")
    assert client.answer()["output"][0]["type"] == "message"


def test_a_forced_choice(client: WireClient) -> None:
    client.say("draw a red ball")
    assert call(client, tool_choice={"type": "function", "name": "stop_timer"})["arguments"] == "{}"
    assert call(client, tool_choice="required")["name"] in ("set_light", "stop_timer")
    assert client.answer(tool_choice="none")["output"][0]["type"] == "message"


def test_the_output_of_a_call_is_answered(client: WireClient) -> None:
    client.say("stop the timer")
    item = call(client)
    output = {"type": "function_call_output", "call_id": item["call_id"], "output": "stopped"}
    client.ask({"type": "conversation.item.create", "item": output}, "conversation.item.done")
    assert client.answer()["output"][0]["type"] == "message"


def test_the_values_are_seen_while_they_are_filled_in(url: str) -> None:
    with connected(url, subprotocols=["omni.v1"]) as client:
        client.ask({"type": "session.update", "session": {"tools": [LIGHT]}}, "session.updated")
        client.say("more light")
        call(client)
        (created,) = client.of_type("omni.canvas.created")
        assert [slot["name"] for slot in created["slots"]] == ["arguments.room", "arguments.level", "arguments.note"]
        assert client.of_type("omni.canvas.delta")


def test_a_schema_that_cannot_be_filled(client: WireClient) -> None:
    tool = {**LIGHT, "parameters": {"properties": {"when": {"type": "string", "format": "email"}}}}
    error = client.refused({"type": "session.update", "session": {"tools": [tool]}})
    assert error["param"] == "session.tools[0].parameters.properties.when"
    client.say("x")
    error = client.refused({"type": "response.create", "response": {"tools": [tool]}})
    assert error["param"] == "response.tools[0].parameters.properties.when"


class TestOnAScript:
    @pytest.fixture
    def engine(self) -> ScriptedEngine:
        return ScriptedEngine(texts={"transcript": "stop the timer", "tool": "stop_timer"})

    @pytest.fixture
    def client(self, engine: ScriptedEngine) -> Iterator[WireClient]:
        with serving(engine) as url, connected(url) as client:
            client.ask({"type": "session.update", "session": {"tools": [LIGHT, TIMER]}}, "session.updated")
            yield client

    def test_a_spoken_command_is_heard_first(self, client: WireClient, engine: ScriptedEngine) -> None:
        spoken = client.speak()["item"]
        assert call(client)["name"] == "stop_timer"
        (heard,) = client.of_type("conversation.item.input_audio_transcription.completed")
        assert (heard["item_id"], heard["transcript"]) == (spoken["id"], "stop the timer")
        assert [request.recipe.name for request in engine.submitted] == ["speech_to_text"]
        assert client.of_type("response.done")[-1]["response"]["usage"]["input_tokens"] == 3  # of hearing it

    def test_the_model_weighs_the_tools_that_come_into_question(
        self, client: WireClient, engine: ScriptedEngine
    ) -> None:
        client.say("x")
        assert call(client, tool_choice="required")["name"] == "stop_timer"
        (request,) = engine.submitted
        assert request.recipe.slots[0].choices == ("set_light", "stop_timer")
        system = request.turns[0].parts[0]
        assert isinstance(system, TextPart)
        assert "stop_timer(): Stop the timer." in system.text

    def test_cancelled_while_it_is_decided(self, client: WireClient, engine: ScriptedEngine) -> None:
        engine.hold = True
        client.say("x")
        client.ask({"type": "response.create", "response": {"tool_choice": "required"}}, "response.created")
        client.send({"type": "response.cancel"})
        done = client.until("response.done")["response"]
        assert (done["status"], done["output"]) == ("cancelled", [])
        engine.hold = False
        assert client.answer(tool_choice="none")["status"] == "completed"

    def test_a_model_that_fails_while_it_is_decided(self, client: WireClient, engine: ScriptedEngine) -> None:
        engine.fails = "out of memory"
        client.say("x")
        done = client.answer(tool_choice="required")
        assert (done["status"], done["status_details"]["error"]["message"]) == ("failed", "out of memory")
