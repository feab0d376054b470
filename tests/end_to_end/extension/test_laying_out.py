"""What a client lays out and gives before an answer begins is seen in the embedded model's answers."""

import base64
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from runtime.codecs.image import ImageCodec, encode_png
from runtime.training.world import BACKGROUNDS
from tests.support.answers import (
    CODE_MS,
    SAMPLES_PER_MS,
    answered,
    background,
    done,
    of,
    picture_of,
    sound_of,
    tokens_told,
    words_of,
)
from tests.support.embedded import embedded, serving_embedded
from tests.support.wire_client import WireClient, connected

TOGETHER = [{"slot": "text"}, {"slot": "image"}, {"slot": "speech"}]
RIGHT_CELLS = {row * 10 + column for row in range(10) for column in range(5, 10)}


@pytest.fixture(scope="module")
def client() -> Iterator[WireClient]:
    with serving_embedded() as url, connected(url, query="?omni=1") as opened:
        yield opened


@pytest.mark.parametrize("text", ["a cat on a red background", "a {mask} on a red background"])
def test_words_picture_and_speech_of_one_response_agree(client: WireClient, text: str) -> None:
    answer = answered(client, "draw", canvas=TOGETHER, given=[{"type": "text", "text": text}])
    words = words_of(client, answer)
    before, after = text.split("{mask}") if "{mask}" in text else (text, "")
    assert words.startswith(before)
    assert words.endswith(after)
    assert "{mask}" not in words
    assert background(client, answer) == "red"
    # What is said is as long as just these words take.
    model = embedded()
    assert model.timing is not None
    codes = model.timing.narration(model.text.encode(words)).length
    assert len(sound_of(client, answer)) == codes * CODE_MS * SAMPLES_PER_MS


def test_a_rectangle_of_a_picture_is_painted_anew_and_the_rest_stays(client: WireClient) -> None:
    pixels = np.full((80, 80, 3), BACKGROUNDS["yellow"], np.uint8)
    pixels[20:60, 10:30] = 20
    url = f"data:image/png;base64,{base64.b64encode(encode_png(pixels)).decode()}"
    given = [{"type": "image", "image_url": url, "box": [40, 0, 80, 80]}]
    answer = answered(client, "draw a cat on a yellow background", output=["image"], given=given)
    model = embedded()
    codec = ImageCodec(model.image_tokenizer, model.image_size_px)
    read = codec.encode(pixels)
    codes = read.flatten().tolist()
    tokens = tokens_told(client, answer)["image"]
    changed = {cell for cell, code in enumerate(codes) if tokens[cell] - model.vocabulary.image[0] != code}
    assert changed
    assert changed <= RIGHT_CELLS
    # What the model reads of the picture stands, but for the seam.
    away = np.abs(picture_of(client, answer).astype(float) - codec.decode(read)).mean(axis=(0, 2))
    assert away[:24].mean() < away[48:].mean() / 3


def test_every_recipe_that_is_told_makes_the_slots_it_tells(client: WireClient) -> None:
    (told,) = client.of_type("omni.session.capabilities") or [client.until("omni.session.capabilities")]
    for recipe in told["recipe_details"]:
        if recipe["reads"] == ["text"]:
            quick = {slot["name"]: {"steps": 1} for slot in recipe["slots"]}
            answer = answered(client, "draw a cat", recipe=recipe["name"], generation=quick)
            (created,) = of(client, answer, "omni.canvas.created")
            assert [slot["name"] for slot in created["slots"]] == [slot["name"] for slot in recipe["slots"]]
            assert {slot["modality"] for slot in created["slots"]} <= set(told["modalities_out"])


def test_what_is_put_beside_each_other_knows_of_each_other(client: WireClient) -> None:
    """A picture that forms beside given words is one of them."""
    beside = [{"slot": "image"}, {"slot": "text", "beside": True}]
    for color in ("red", "green"):
        given = [{"type": "text", "text": f"a cat on a {color} background"}]
        assert background(client, answered(client, "draw", canvas=beside, given=given)) == color


def test_a_picture_that_was_shown_is_answered_with_the_next_turn(client: WireClient) -> None:
    told = []
    for color in ("red", "yellow"):
        picture = Image.new("RGB", (80, 80), BACKGROUNDS[color])
        picture.paste((20, 20, 20), (20, 20, 60, 60))
        url = f"data:image/png;base64,{base64.b64encode(encode_png(np.asarray(picture))).decode()}"
        client.send({"type": "omni.image_buffer.append", "image": url})
        client.say("what is the background color?")
        told.append(client.answer(output_modalities=["text"])["output"][0]["content"][0]["text"])
    assert told[0] != told[1]


def test_answers_tried_side_by_side_find_what_one_way_does_not(client: WireClient) -> None:
    """About a picture that the model drew itself: the sure words first, the thing last, held against the picture."""
    drawn = answered(client, "draw a snake to the left of an apple on a pink background", output=["image"], seed=2)
    url = f"data:image/png;base64,{base64.b64encode(encode_png(picture_of(client, drawn))).decode()}"
    shown = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": url}]}
    told = {}
    for ways in (1, 32):
        question = {"type": "input_text", "text": "what is to the left of the apple?"}
        response = {
            "conversation": "none",
            "input": [{**shown, "content": [*shown["content"], question]}],
            "omni": {"seed": 3, "output": ["text"], "generation": {"text": {"hypotheses": ways}}},
        }
        created = client.ask({"type": "response.create", "response": response}, "omni.canvas.created")
        answer = str(created["response_id"])
        assert done(client, answer)["status"] == "completed"
        told[ways] = words_of(client, answer), of(client, answer, "omni.progress")[-1]["step"]
    assert told[32][0] == "snake" != told[1][0]
    assert told[32][1] > told[1][1]
