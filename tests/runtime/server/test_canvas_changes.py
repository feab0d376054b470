"""Changes of an answer over the wire, seen in what the embedded model makes of them."""

import base64
import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from runtime.codecs.image import decode_image
from runtime.evaluation.picture_checks import background_of
from runtime.training.world import BACKGROUNDS
from tests.support.embedded import serving_embedded
from tests.support.wire_client import Event, WireClient, connected, text_item

BLUE, GREEN = "draw a cat on a blue background", "draw a cat on a green background"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving_embedded() as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[WireClient]:
    with connected(url, query="?omni=1", max_frame_bytes=None) as opened:
        yield opened


def begin(client: WireClient, words: str, **omni: Any) -> str:
    """The canvas of an answer that has begun."""
    client.say(words)
    client.send({"type": "response.create", "response": {"omni": {"seed": 3, **omni}}})
    return str(client.until("omni.canvas.created")["canvas_id"])


def until_step(client: WireClient, step: int) -> None:
    while client.until("omni.progress")["step"] < step:
        pass


def background(client: WireClient, response_id: str) -> str:
    done = next(e for e in client.of_type("omni.image.done") if e["response_id"] == response_id)
    return background_of(decode_image(base64.b64decode(done["b64"])))


def told_tokens(client: WireClient, canvas_id: str) -> dict[str, dict[int, int]]:
    """What all deltas of a canvas add up to."""
    canvas: dict[str, dict[int, int]] = {}
    for delta in client.of_type("omni.canvas.delta"):
        for change in delta["slots"] if delta["canvas_id"] == canvas_id else ():
            slot = canvas.setdefault(change["name"], {})
            for place in change["remasked"]:
                del slot[place]
            slot.update({place: token for place, token, _ in change["updates"]})
    return canvas


def ended(client: WireClient, canvas_id: str) -> Event:
    """omni.canvas.done of a canvas, response.done read behind it."""
    while not (found := [e for e in client.of_type("omni.canvas.done") if e["canvas_id"] == canvas_id]):
        client.receive()
    while not any(e["response"]["id"] == found[0]["response_id"] for e in client.of_type("response.done")):
        client.receive()
    return found[0]


def test_an_answer_is_steered_midway(client: WireClient) -> None:
    canvas_id = begin(client, BLUE)
    until_step(client, 5)
    steer = {"type": "omni.canvas.steer", "canvas_id": canvas_id, "steer": {"instructions": GREEN}}
    steered = client.ask(steer, "omni.canvas.steered")
    done = ended(client, canvas_id)
    assert background(client, done["response_id"]) == "green"
    assert any(change["remasked"] for delta in client.of_type("omni.canvas.delta") for change in delta["slots"])
    assert done["changes"] == [
        {"type": "steer", "at_step": steered["applied_at_step"], "steer": {"instructions": GREEN}}
    ]


def test_a_canvas_is_forked_at_an_early_step_after_it_ended_and_steered_there(client: WireClient) -> None:
    canvas_id = begin(client, BLUE)
    first = ended(client, canvas_id)
    client.send({"type": "omni.canvas.fork", "canvas_id": canvas_id, "at_step": 4, "seed": 3})
    twin = client.until("omni.canvas.created")["canvas_id"]
    client.send({"type": "omni.canvas.steer", "canvas_id": twin, "steer": {"instructions": GREEN}})
    second = ended(client, twin)
    assert [background(client, done["response_id"]) for done in (first, second)] == ["blue", "green"]
    assert second["seed"] == first["seed"] == 3
    assert [change["type"] for change in second["changes"]] == ["reseed", "steer"]
    error = client.refused({"type": "omni.canvas.fork", "canvas_id": canvas_id})
    assert "name at_step" in error["message"]


def test_what_a_finished_canvas_tells_makes_the_same_tokens_again(client: WireClient) -> None:
    canvas_id = begin(client, BLUE)
    until_step(client, 3)
    cells = {"action": "mask", "slot": "image", "box": [0, 0, 40, 80]}
    client.ask({"type": "omni.canvas.edit", "canvas_id": canvas_id, "edits": [cells]}, "omni.canvas.edited")
    client.ask(
        {"type": "omni.canvas.steer", "canvas_id": canvas_id, "steer": {"instructions": GREEN}}, "omni.canvas.steered"
    )
    first = ended(client, canvas_id)
    again = begin(client, BLUE, seed=first["seed"], changes=first["changes"])
    second = ended(client, again)
    tokens = told_tokens(client, canvas_id)
    assert {name: len(slot) for name, slot in tokens.items()} == {"image": 100, "text": 16}
    assert tokens == told_tokens(client, again)
    assert second["changes"] == first["changes"]
    assert first["recipe"]["name"] == "text_to_image"


def test_steering_that_makes_no_sense_is_refused_and_the_answer_goes_on(client: WireClient) -> None:
    canvas_id = begin(client, BLUE)
    for steer, said in (
        ({}, "either instructions"),
        ({"instructions": "x", "input": []}, "either instructions"),
        ({"input": []}, "holds nothing"),
        ({"input": [text_item("x" * 40_000)]}, "40000 characters of text came"),
        ({"instructions": ""}, "instructions are empty"),
        ({"instructions": " \n"}, "instructions are empty"),
        ({"input": [text_item("  ")]}, "input holds nothing"),
        ({"instructions": GREEN, "opened": [{"slot": "image", "positions": [100]}]}, "position 100"),
        ({"instructions": GREEN, "opened": [{"slot": "sound", "positions": [0]}]}, "no slot 'sound'"),
    ):
        error = client.ask({"type": "omni.canvas.steer", "canvas_id": canvas_id, "steer": steer})["error"]
        assert said in error["message"]
    assert ended(client, canvas_id)["status"] == "completed"
    gone = client.refused({"type": "omni.canvas.steer", "canvas_id": canvas_id, "steer": {"instructions": GREEN}})
    assert gone["code"] == "canvas_edit_not_active"


def test_changes_that_wait_name_positions(client: WireClient) -> None:
    client.say(BLUE)
    edit = {"type": "edit", "at_step": 1, "edits": [{"action": "mask", "slot": "image", "box": [0, 0, 8, 8]}]}
    error = client.refused({"type": "response.create", "response": {"omni": {"changes": [edit]}}})
    assert (error["param"], "names positions" in error["message"]) == ("response.omni.changes[0].edits[0]", True)
    session = client.refused({"type": "session.update", "session": {"type": "realtime", "omni": {"changes": []}}})
    assert "belongs to one response" in session["message"]


def test_words_and_regions_by_mask_are_made_anew(client: WireClient) -> None:
    canvas_id = begin(client, BLUE, generation={"text": {"steps": 8, "commit": "schedule"}})
    while not (known := [s for s in client.until("omni.text.partial")["spans"] if not s["masked"]]):
        pass
    edits = [
        {"action": "mask", "slot": "text", "span": [known[0]["start"], known[0]["end"]]},
        {"action": "mask", "slot": "image", "mask_url": transparent(0, 0, 40, 80)},
    ]
    edited = client.ask({"type": "omni.canvas.edit", "canvas_id": canvas_id, "edits": edits}, "omni.canvas.edited")
    done = ended(client, canvas_id)
    (change,) = done["changes"]
    word, region = change["edits"]
    assert len(word["positions"]) == 1
    assert region["positions"] == [row * 10 + column for row in range(10) for column in range(5)]
    opened = [
        change
        for delta in client.of_type("omni.canvas.delta")
        for change in delta["slots"]
        if delta["step"] > edited["applied_at_step"] and change["remasked"]
    ]
    assert {change["name"] for change in opened} == {"image", "text"}
    assert background(client, done["response_id"]) == "blue"


def test_the_next_turn_takes_the_newest_picture_with_it(client: WireClient) -> None:
    for color in ("red", "yellow"):
        client.send({"type": "omni.image_buffer.append", "image": data_url(plain(color))})
    item = client.say("what is the background color?")["item"]
    assert [part["type"] for part in item["content"]] == ["input_text", "input_image"]
    assert "yellow" in client.answer(output_modalities=["text"])["output"][0]["content"][0]["text"]
    # It was taken: what is said next is about nothing shown.
    assert [part["type"] for part in client.say("draw a cat")["item"]["content"]] == ["input_text"]
    client.send({"type": "omni.image_buffer.append", "image": data_url(plain("red"))})
    client.send({"type": "omni.image_buffer.clear"})
    assert [part["type"] for part in client.say("draw a cat")["item"]["content"]] == ["input_text"]
    error = client.refused({"type": "omni.image_buffer.append", "image": "data:image/png;base64,AAAA"})
    assert (error["code"], error["param"]) == ("invalid_image", "image")
    client.send({"type": "omni.image_buffer.append", "image": data_url(plain("red"))})
    assert [part["type"] for part in client.speak()["item"]["content"]] == ["input_audio", "input_image"]


def plain(color: str) -> Image.Image:
    """A cat's place left empty: only the background."""
    picture = Image.new("RGB", (80, 80), BACKGROUNDS[color])
    picture.paste((20, 20, 20), (20, 20, 60, 60))
    return picture


def transparent(left: int, top: int, right: int, bottom: int) -> str:
    mask = Image.new("RGBA", (80, 80), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (left, top, right, bottom))
    return data_url(mask)


def data_url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def test_a_picture_of_a_size_that_is_not_drawn_is_refused_before_a_response_begins(client: WireClient) -> None:
    client.say(BLUE)
    for omni, param in (
        ({"generation": {"image": {"length": 64}}}, "response.omni.generation.image.length"),
        ({"canvas": [{"slot": "image", "length": 64}]}, "response.omni.canvas[0].length"),
    ):
        error = client.refused({"type": "response.create", "response": {"omni": omni}})
        assert (error["param"], "this model draws 10 x 10; send 100" in error["message"]) == (param, True)
    assert not client.of_type("response.created")
