"""The images API as the stock openai client uses it, before a real model with random weights."""

import base64
import io
from collections.abc import Iterator

import httpx
import numpy as np
import openai
import pytest
from PIL import Image

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.executors.in_process import InProcessExecutor
from runtime.server.keys import Key
from runtime.server.model_card import ModelCard, PictureShape
from runtime.server.settings import ServerSettings
from tests.support.live_server import serving
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiny_model import tiny_model

TINY = ModelCard("tiny", EMBEDDED_RECIPES, PictureShape(80, 80, 10, 10))
SIDE = 80


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    model = tiny_model()
    with serving(DenoisingEngine(model, InProcessExecutor(model.backbone)), TINY) as url:
        yield url.replace("ws://", "http://") + "/v1"


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        yield client


def png(pixels: np.ndarray, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels, mode).save(file, "PNG")
    return file.getvalue()


def pixels_of(encoded: str | None) -> np.ndarray:
    assert encoded is not None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))


def mask(left: int, top: int, right: int, bottom: int) -> bytes:
    """Transparent in the box."""
    rgba = np.full((SIDE, SIDE, 4), 255, np.uint8)
    rgba[top:bottom, left:right, 3] = 0
    return png(rgba, "RGBA")


PICTURE = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)


def test_pictures_from_words(client: openai.OpenAI) -> None:
    drawn = client.images.generate(model="tiny", prompt="two apples", n=2, extra_body={"seed": 5})
    first, second = (pixels_of(image.b64_json) for image in drawn.data or ())
    assert first.shape == (SIDE, SIDE, 3)
    assert not np.array_equal(first, second)
    again = client.images.generate(prompt="two apples", extra_body={"seed": 5})
    assert np.array_equal(pixels_of((again.data or [])[0].b64_json), first)
    assert drawn.usage is not None
    assert drawn.usage.output_tokens >= 200


def test_a_picture_by_its_address(client: openai.OpenAI) -> None:
    drawn = client.images.generate(prompt="two apples", response_format="url")
    address = (drawn.data or [])[0].url
    assert address is not None
    assert httpx.get(address).content.startswith(b"\x89PNG")


def test_partial_pictures(client: openai.OpenAI) -> None:
    events = list(client.images.generate(prompt="two apples", stream=True, partial_images=2))
    assert [event.type for event in events] == [
        "image_generation.partial_image",
        "image_generation.partial_image",
        "image_generation.completed",
    ]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    shown = [pixels_of(event.b64_json) for event in events]
    assert not np.array_equal(shown[0], shown[-1])


def test_only_the_region_is_painted_anew(client: openai.OpenAI) -> None:
    """The model's own reading of the picture stands outside of the mask: two prompts differ inside of it. The decoder's
    normalisation lets a little of that be seen everywhere."""
    cats, dogs = (
        client.images.edit(image=png(PICTURE), mask=mask(40, 0, 80, 80), prompt=words, extra_body={"seed": seed})
        for words, seed in (("a cat", 1), ("two dogs", 2))
    )
    first, second = (pixels_of((drawn.data or [])[0].b64_json).astype(int) for drawn in (cats, dogs))
    different = np.abs(first - second).max(-1)
    assert different[:, 40:].mean() > 3 * different[:, :24].mean()


def test_an_edit_is_streamed_too(client: openai.OpenAI) -> None:
    events = list(client.images.edit(image=png(PICTURE), mask=mask(0, 0, 40, 80), prompt="a cat", stream=True))
    assert [event.type for event in events] == ["image_edit.completed"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({}, "prompt"),
        ({"prompt": "x", "colour": 1}, "colour"),
        ({"prompt": "x", "n": 9}, "n"),
        ({"prompt": "x", "n": 2, "stream": True}, "n"),
    ],
)
def test_bad_requests(url: str, fields: dict[str, object], param: str | None) -> None:
    answer = httpx.post(f"{url}/images/generations", json=fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


def test_bad_bodies(url: str) -> None:
    assert "not valid JSON" in httpx.post(f"{url}/images/generations", content=b"{").json()["error"]["message"]
    nothing = httpx.post(f"{url}/images/edits", data={"prompt": "x"}, files={"other": b"x"})
    assert "no image came" in nothing.json()["error"]["message"]
    whole = httpx.post(f"{url}/images/edits", data={"prompt": "x"}, files={"image": png(PICTURE)})
    assert whole.status_code == 400
    assert whole.json()["error"]["param"] == "mask"
    assert "no mask came" in whole.json()["error"]["message"]


@pytest.mark.parametrize(
    ("image", "region", "told"),
    [
        (png(PICTURE), png(PICTURE), "nothing of the mask is transparent"),
        (png(PICTURE), png(np.zeros((4, 4, 4), np.uint8), "RGBA"), "a mask of 4 x 4 px"),
        (b"no picture", mask(0, 0, 8, 8), "PNG, JPEG or WebP"),
    ],
)
def test_edits_that_cannot_be_made(client: openai.OpenAI, image: bytes, region: bytes, told: str) -> None:
    with pytest.raises(openai.BadRequestError, match=told):
        client.images.edit(image=("a.png", image), mask=("b.png", region), prompt="x")


def test_a_key_is_needed_where_one_is_set() -> None:
    with serving(ScriptedEngine(), TINY, ServerSettings(keys=(Key.of("right"),))) as url:
        answer = httpx.post(url.replace("ws://", "http://") + "/v1/images/generations", json={"prompt": "x"})
        assert answer.status_code == 401


def test_a_model_that_fails() -> None:
    with serving(ScriptedEngine(fails="out of memory"), TINY) as url:
        answer = httpx.post(url.replace("ws://", "http://") + "/v1/images/generations", json={"prompt": "x"})
        assert (answer.status_code, answer.json()["error"]["message"]) == (500, "out of memory")
