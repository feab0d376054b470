"""Answers whose slots the client lays out, of the embedded model."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.settings import CanvasSlot
from runtime.codecs.image import decode_image
from runtime.engine.recipe import EMBEDDED_RECIPES, PROMPT, SPEAKING_RECIPES
from runtime.evaluation.picture_checks import background_of
from runtime.server.layout import laid_out
from runtime.server.model_card import ModelCard
from tests.support.embedded import serving_embedded
from tests.support.wire_client import Event, WireClient, connected, text_item

CARD = ModelCard("tiny", EMBEDDED_RECIPES)


@pytest.fixture
def client() -> Iterator[WireClient]:
    with serving_embedded() as url, connected(url, query="?omni=1", max_frame_bytes=None) as opened:
        yield opened


def answered(client: WireClient, words: str, **omni: Any) -> tuple[Event, str]:
    """response.done, and the background of its picture."""
    seen = len(client.of_type("omni.image.done"))
    done = client.answer(conversation="none", input=[text_item(words)], omni={"seed": 1, **omni})
    picture = client.of_type("omni.image.done")[seen]
    return done, background_of(decode_image(base64.b64decode(picture["b64"])))


def test_a_picture_follows_the_caption_that_is_given_before_or_behind_it(client: WireClient) -> None:
    given = [{"type": "text", "text": "a cat on a red background"}]
    for slots in (["text", "image"], ["image", "text"]):
        done, background = answered(client, "", canvas=[{"slot": name} for name in slots], given=given)
        assert background == "red"
        assert done["output"][0]["content"][0]["text"] == "a cat on a red background"
        assert [slot["name"] for slot in client.of_type("omni.canvas.created")[-1]["slots"]] == slots


def test_slots_beside_each_other_form_in_the_same_steps(client: WireClient) -> None:
    canvas = [{"slot": "image"}, {"slot": "text", "beside": True}]
    numbers = {"text": {"steps": 8, "commit": "schedule"}}
    _, background = answered(client, "draw a cat on a blue background", canvas=canvas, generation=numbers)
    assert background == "blue"
    both = [e["slots"] for e in client.of_type("omni.progress") if all(0 < s < 1 for s in e["slots"].values())]
    assert both, "at no step were both of them half known"


def test_only_what_is_laid_out_is_made(client: WireClient) -> None:
    done, background = answered(client, "draw a cat on a blue background", canvas=[{"slot": "image"}])
    assert (background, done["output"][0]["content"]) == ("blue", [])


@pytest.mark.parametrize(
    ("held", "slots", "param", "said"),
    [
        (["text"], ["speech"], "[0].slot", "can hold image, text"),
        (["text"], ["image", "transcript"], "[1].slot", "can hold image, text"),
        (["text"], ["text", "text"], "[1].slot", "came twice"),
        (["text", "image"], ["image"], "[0].slot", "can hold text"),
    ],
)
def test_what_cannot_be_laid_out_is_told_with_what_can(held: Any, slots: list[str], param: str, said: str) -> None:
    card = ModelCard("old", {name: EMBEDDED_RECIPES[name] for name in ("text_to_image", "image_to_text")})
    with pytest.raises(ProtocolError, match=said) as raised:
        laid_out(card, held, [CanvasSlot(slot=slot) for slot in slots])
    assert raised.value.param == f"response.omni.canvas{param}"


def test_a_picture_is_square() -> None:
    with pytest.raises(ProtocolError, match="7 positions came for a picture") as raised:
        laid_out(CARD, ["text"], [CanvasSlot(slot="image", length=7)])
    assert raised.value.param == "response.omni.canvas[0].length"


def test_a_length_takes_its_share_of_the_steps() -> None:
    (slot,) = laid_out(CARD, ["text"], [CanvasSlot(slot="image", length=25)]).slots
    whole = next(slot for slot in EMBEDDED_RECIPES["text_to_image"].slots if slot.name == "image")
    assert (slot.length, slot.steps) == (25, max(1, whole.steps * 25 // whole.length))


def test_speech_says_what_stands_before_it_or_what_was_written() -> None:
    card = ModelCard("speaking", SPEAKING_RECIPES)
    text, speech = CanvasSlot(slot="text"), CanvasSlot(slot="speech")
    assert laid_out(card, {"text"}, [text, speech]).slots[1].says == "text"
    assert laid_out(card, {"text"}, [speech, text]).slots[0].says == PROMPT
    with pytest.raises(ProtocolError, match="lay out a text slot before it, or write them in the turn") as refused:
        laid_out(card, set(), [speech])
    assert refused.value.param == "response.omni.canvas[0].slot"


SPEAKING = ModelCard("speaking", SPEAKING_RECIPES, speech_code_ms=40.0)


def test_speech_is_bounded_and_keeps_its_steps() -> None:
    text, bounded = CanvasSlot(slot="text"), CanvasSlot(slot="speech", max_ms=2_030)
    speech = laid_out(SPEAKING, {"text"}, [text, bounded]).slots[1]
    free = laid_out(SPEAKING, {"text"}, [text, CanvasSlot(slot="speech")]).slots[1]
    assert (speech.length, speech.steps) == (50, free.steps)
    tiny = laid_out(SPEAKING, {"text"}, [text, CanvasSlot(slot="speech", max_ms=80)]).slots[1]
    assert (tiny.length, tiny.steps) == (2, 2)
    assert laid_out(SPEAKING, {"text"}, [text, CanvasSlot(slot="speech", max_ms=60_000)]).slots[1] == free


@pytest.mark.parametrize(
    ("slot", "said"),
    [
        (CanvasSlot(slot="text", max_ms=900), "bounds a slot of speech"),
        (CanvasSlot(slot="speech", max_ms=900, length=9), "leave one of them out"),
        (CanvasSlot(slot="speech", max_ms=39), "39 ms of speech came; one token of it lasts 40 ms"),
    ],
)
def test_bounds_that_make_no_sense(slot: CanvasSlot, said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as refused:
        laid_out(SPEAKING, {"text"}, [slot])
    assert refused.value.param == "response.omni.canvas[0].max_ms"


def test_what_the_embedded_model_says_is_no_longer_than_it_may_be(client: WireClient) -> None:
    canvas = [{"slot": "text"}, {"slot": "image"}, {"slot": "speech", "max_ms": 1_000}]
    given = [{"type": "text", "text": "a cat on a red background"}]
    client.answer(conversation="none", input=[text_item("")], omni={"seed": 1, "canvas": canvas, "given": given})
    sound = b"".join(base64.b64decode(event["delta"]) for event in client.of_type("response.output_audio.delta"))
    assert 0.5 < len(sound) / 48_000 <= 1.0
    layout = client.of_type("omni.canvas.created")[-1]["slots"]
    assert [slot["name"] for slot in layout] == ["text", "image", "speech"]
    assert layout[-1]["length"] == 25
    assert background_of(decode_image(base64.b64decode(client.of_type("omni.image.done")[-1]["b64"]))) == "red"
