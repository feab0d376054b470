"""Answers of the real engine, with a model that runs and knows nothing."""

import base64
import io
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image

from omnisdk.protocol.response import Response
from omnisdk.protocol.settings import DEFAULT_OMNI, OmniSettings, merged
from runtime.engine.denoising import DenoisingEngine
from runtime.executors.in_process import InProcessExecutor
from runtime.server.answer import AnswerPlan
from runtime.server.model_card import PictureShape
from tests.support.live_server import MODEL, serving
from tests.support.tiny_model import tiny_model
from tests.support.unhurried import UnhurriedExecutor
from tests.support.wire_client import Event, WireClient, connected


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    model = tiny_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone, num_threads=1))
    with serving(engine, replace(MODEL, max_turns=1)) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[WireClient]:
    with connected(url, subprotocols=["omni.v1"]) as client:
        yield client


def test_deltas_add_up_to_the_whole_canvas(client: WireClient) -> None:
    client.speak(24_000)
    assert client.answer(omni={"seed": 3})["status"] == "completed"
    filled: dict[tuple[str, int], int] = {}
    for delta in client.of_type("omni.canvas.delta"):
        for change in delta["slots"]:
            for position in change["remasked"]:
                del filled[change["name"], position]
            filled |= {(change["name"], position): token for position, token, _ in change["updates"]}
    slots = client.of_type("omni.canvas.created")[0]["slots"]
    assert set(filled) == {(slot["name"], position) for slot in slots for position in range(slot["length"])}


def test_previews_lead_to_the_picture(client: WireClient) -> None:
    client.say("draw a red apple")
    client.answer()
    previews = client.of_type("omni.image.partial")
    masked = [sum(preview["mask"]) for preview in previews]
    assert masked == sorted(masked, reverse=True)
    assert [preview["partial_image_index"] for preview in previews] == list(range(len(previews)))
    picture = client.of_type("omni.image.done")[0]
    assert Image.open(io.BytesIO(base64.b64decode(picture["b64"]))).size == (80, 80)


def test_the_same_seed_gives_the_same_answer(client: WireClient) -> None:
    client.say("draw a red apple")
    answers = [client.answer(omni={"seed": 5}) for _ in range(2)]
    first, second = client.of_type("omni.image.done")
    assert first["b64"] == second["b64"]
    assert said(answers[0]) == said(answers[1])


def said(done: Event) -> list[Event]:
    content: list[Event] = done["output"][0]["content"]
    return content


def test_every_text_is_told_once_and_whole(client: WireClient) -> None:
    client.speak(24_000)
    done = client.answer()
    assert len(client.of_type("response.output_text.done")) == 1
    assert len(client.of_type("conversation.item.input_audio_transcription.completed")) == 1
    assert done["output"][0]["content"][0]["text"] == client.of_type("response.output_text.done")[0]["text"]
    assert "▒" not in done["output"][0]["content"][0]["text"]


@pytest.mark.parametrize(("ago_s", "left_ms"), [(0.0, 5_000), (3.0, 2_000), (60.0, 1)])
def test_a_deadline_counts_from_the_beginning_whatever_is_asked_on_the_way(ago_s: float, left_ms: int) -> None:
    plan = AnswerPlan(
        response=Response(id="resp_1", status="in_progress", output=[], output_modalities=["text"]),
        item_id="item_1",
        canvas_id="canvas_1",
        omni=merged(DEFAULT_OMNI, OmniSettings(deadline_ms=5_000)),
        slot_names=(),
        outputs=frozenset(),
        words=None,
        partials_told=True,
        heard=None,
        begun_s=time.monotonic() - ago_s,
    )
    assert plan.deadline_ms == pytest.approx(left_ms, abs=200 if left_ms > 1 else 0)
    assert replace(plan, omni=DEFAULT_OMNI).deadline_ms is None


def test_a_deadline_gives_the_best_so_far(client: WireClient) -> None:
    client.say("draw a red apple")
    done = client.answer(omni={"deadline_ms": 1, "steps": 100})
    assert (done["status"], done["omni"]["reason"]) == ("incomplete", "deadline")
    assert len(client.of_type("omni.image.done")) == 1


def test_an_answer_that_is_cut_says_so(client: WireClient) -> None:
    client.say("draw a red apple")
    client.send({"type": "response.create", "response": {"max_output_tokens": 2}})
    done = client.until("response.done")["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert (done["omni"]["reason"], done["output"][0]["status"]) == ("max_output_tokens", "incomplete")
    assert len(done["omni"]["images"]) == 1
    assert done["usage"]["output_token_details"]["text_tokens"] == 2


def test_what_was_heard_is_not_cut_with_the_answer(client: WireClient) -> None:
    client.speak(24_000)
    client.send({"type": "response.create", "response": {"max_output_tokens": 1}})
    done = client.until("response.done")["response"]
    lengths = {slot["name"]: slot["length"] for slot in client.of_type("omni.canvas.created")[0]["slots"]}
    assert (lengths["transcript"], lengths["text"]) == (16, 1)
    assert done["status_details"]["reason"] == "max_output_tokens"


def test_what_the_engine_refuses_is_a_failed_answer(client: WireClient) -> None:
    client.say("apple " * 2000)
    done = client.answer()
    assert done["status"] == "failed"
    assert done["status_details"]["error"]["message"]
    assert done["output"] == []


@pytest.fixture(scope="module")
def unhurried_url() -> Iterator[str]:
    model = tiny_model()
    engine = DenoisingEngine(model, UnhurriedExecutor(model.backbone, num_threads=1))
    with serving(engine, replace(MODEL, max_turns=1, picture=PictureShape(80, 80, 10, 10))) as url:
        yield url


@pytest.fixture
def unhurried(unhurried_url: str) -> Iterator[WireClient]:
    with connected(unhurried_url, subprotocols=["omni.v1"]) as client:
        yield client


def begin(client: WireClient, **omni: object) -> Event:
    """omni.canvas.created of a new response that takes long."""
    client.send({"type": "response.create", "response": {"omni": {"steps": 100, **omni}}})
    return client.until("omni.canvas.created")


def test_a_part_that_is_set_stands_in_the_picture(unhurried: WireClient) -> None:
    unhurried.say("draw a red apple")
    canvas = begin(unhurried, seed=3, partials="tokens")["canvas_id"]
    first = 5 + tiny_model().vocabulary.image[0]
    edit = {"action": "set", "slot": "image", "positions": [0, 99], "tokens": [first, first + 1]}
    edited = unhurried.ask({"type": "omni.canvas.edit", "canvas_id": canvas, "edits": [edit]}, "omni.canvas.edited")
    tuned = unhurried.ask(
        {"type": "omni.response.tune", "response_id": edited["response_id"], "steps_left": 3}, "omni.response.tuned"
    )
    unhurried.until("response.done")
    done = unhurried.of_type("omni.canvas.done")[-1]
    assert done["steps"] <= tuned["applied_at_step"] + 3 < 100
    filled = {
        position: token
        for delta in unhurried.of_type("omni.canvas.delta")
        for change in delta["slots"]
        if change["name"] == "image"
        for position, token, _ in change["updates"]
    }
    assert (filled[0], filled[99]) == (first, first + 1)


def test_a_masked_box_is_told_and_filled_again(unhurried: WireClient) -> None:
    unhurried.say("draw a red apple")
    created = begin(unhurried, partials="tokens")
    while True:  # until much of the picture stands
        if unhurried.until("omni.canvas.delta")["step"] > 40:
            break
    edit = {"action": "mask", "slot": "image", "box": [0, 0, 80, 80]}
    unhurried.ask(
        {"type": "omni.canvas.edit", "canvas_id": created["canvas_id"], "edits": [edit]}, "omni.canvas.edited"
    )
    while not (opened := remasked(unhurried.until("omni.canvas.delta"))):
        pass
    assert len(opened) > 10
    unhurried.send({"type": "omni.response.finalize", "response_id": created["response_id"]})
    assert unhurried.until("response.done")["response"]["status"] == "incomplete"


def remasked(delta: Event) -> list[int]:
    return [position for change in delta["slots"] for position in change["remasked"]]


def test_edits_that_cannot_be_made_are_told_with_their_event(unhurried: WireClient) -> None:
    unhurried.say("draw a red apple")
    created = begin(unhurried, partials="tokens")
    edit = {"action": "set", "slot": "image", "positions": [0], "tokens": [0]}
    wrong = {"type": "omni.canvas.edit", "canvas_id": created["canvas_id"], "edits": [edit], "event_id": "mine"}
    error = unhurried.ask(wrong)["error"]
    assert (error["code"], error["param"], error["event_id"]) == ("canvas_edit_refused", "edits", "mine")
    assert "token 0 cannot stand in slot 'image'" in error["message"]
    cold = {"type": "omni.response.tune", "response_id": created["response_id"], "temperature": -1}
    assert unhurried.ask(cold)["error"]["param"] == "temperature"
    unhurried.ask({"type": "response.cancel"}, "response.done")
    assert unhurried.refused({**wrong, "event_id": "late"})["code"] == "canvas_edit_not_active"
