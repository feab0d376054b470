from dataclasses import replace

import numpy as np
import pytest
import torch

from runtime.codecs.image import ImageCodec
from runtime.codecs.vocabulary import END_OF_TEXT
from runtime.diffusion.canvas import Canvas
from runtime.engine.admission import Admission
from runtime.engine.edits import EditError
from runtime.engine.given import Given, GivenImage, GivenText
from runtime.engine.model import OmniModel
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.engine.request import GenerationRequest, TextPart, Turn
from tests.support.tiny_model import tiny_model

SIDE = 80


@pytest.fixture(scope="module")
def model() -> OmniModel:
    return tiny_model()


def laid_out(model: OmniModel, *given: Given) -> Canvas:
    admission = Admission(model, ImageCodec(model.image_tokenizer, SIDE), 512)
    turns = (Turn("user", (TextPart("draw a cat"),)),)
    return admission.admit(GenerationRequest("r", turns, EMBEDDED_RECIPES["text_to_image"], given=given)).canvas


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3), np.uint8)


def region(left: int, top: int, right: int, bottom: int, shape: tuple[int, int] = (SIDE, SIDE)) -> np.ndarray:
    mask = np.zeros(shape, np.bool_)
    mask[top:bottom, left:right] = True
    return mask


class TestText:
    def test_words_stand_and_gaps_are_open(self, model: OmniModel) -> None:
        canvas = laid_out(model, GivenText("text", ("a", "above a", ""), gap=2))
        slot = canvas.slot("text")
        tokens = canvas.tokens_of(slot).tolist()
        a, above = model.text.encode("a"), model.text.encode("above a")
        mask, end = canvas.mask_id, model.vocabulary[END_OF_TEXT]
        said = [*a, mask, mask, *above, mask, mask]
        assert tokens == [*said, *[end] * (slot.length - len(said))]
        assert canvas.num_masked(slot) == 4

    def test_no_gap_can_end_the_text(self, model: OmniModel) -> None:
        slot = laid_out(model, GivenText("text", ("a", "cat"))).slot("text")
        assert set(slot.ends) <= set(slot.forbidden)
        assert not set(laid_out(model).slot("text").ends) & set(laid_out(model).slot("text").forbidden)

    def test_a_slot_grows_with_what_is_given(self, model: OmniModel) -> None:
        long = "two red apples on a blue background " * 5
        canvas = laid_out(model, GivenText("text", (long, "")))
        assert canvas.slot("text").length == len(model.text.encode(long)) + 2


class TestPicture:
    def test_the_region_is_open_and_the_rest_stands(self, model: OmniModel) -> None:
        canvas = laid_out(model, GivenImage("image", picture(), region(0, 0, 9, 8)))
        slot = canvas.slot("image")
        assert canvas.masked[slot.positions].nonzero()[:, 0].tolist() == [0, 1]
        codes = ImageCodec(model.image_tokenizer, SIDE).encode(picture()).flatten()
        expected = codes[2:] + model.vocabulary.image[0]
        assert torch.equal(canvas.tokens_of(slot)[2:], expected)
        assert canvas.pinned[slot.positions][2:].all()

    def test_of_a_wide_picture_the_middle_is_read(self, model: OmniModel) -> None:
        wide = np.concatenate([picture(1), picture(), picture(2)], axis=1)
        outside = region(0, 0, SIDE, SIDE, (SIDE, 3 * SIDE))
        with pytest.raises(EditError, match="opens nothing"):
            laid_out(model, GivenImage("image", wide, outside))
        inside = region(SIDE, 0, SIDE + 1, 1, (SIDE, 3 * SIDE))
        canvas = laid_out(model, GivenImage("image", wide, inside))
        assert canvas.num_masked(canvas.slot("image")) == 1

    def test_a_picture_smaller_than_the_grid(self, model: OmniModel) -> None:
        tiny = np.zeros((2, 2, 3), np.uint8)
        canvas = laid_out(model, GivenImage("image", tiny, region(1, 1, 2, 2, (2, 2))))
        assert canvas.num_masked(canvas.slot("image")) == 25


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (GivenText("speech", ("a",)), "no slot 'speech'.*give parts of one of them"),
        (GivenText("image", ("a",)), "holds image; give image"),
        (GivenImage("text", picture(), region(0, 0, 8, 8)), "holds text; give text"),
    ],
)
def test_what_does_not_fit(model: OmniModel, given: Given, told: str) -> None:
    with pytest.raises(EditError, match=told):
        laid_out(model, given)


def test_both_at_once(model: OmniModel) -> None:
    canvas = laid_out(model, GivenText("text", ("a", "")), GivenImage("image", picture(), region(0, 0, 8, 8)))
    assert canvas.num_masked(canvas.slot("image")) == canvas.num_masked(canvas.slot("text")) == 1
    assert replace(canvas).active_slot is canvas.slots[0]
