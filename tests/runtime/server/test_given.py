import io

import numpy as np
import pytest
from msgspec import UNSET
from PIL import Image

from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.picture import Picture
from omnisdk.protocol.settings import Given, GivenImage, GivenText
from runtime.engine import given as engine
from runtime.engine.recipe import SPEAKING_RECIPES
from runtime.server.given import check_given, read_given

pytestmark = pytest.mark.anyio


def png(image: Image.Image) -> Picture:
    file = io.BytesIO()
    image.save(file, "PNG")
    return Picture(file.getvalue())


PICTURE = png(Image.new("RGB", (12, 8), "red"))


async def read(given: Given) -> engine.GivenText | engine.GivenImage:
    (read,) = await read_given([given], "g")
    return read


async def test_nothing() -> None:
    assert await read_given(UNSET, "g") == ()


async def test_words_around_gaps() -> None:
    text = await read(GivenText(text="two {mask} on a {mask}", gap=2))
    assert text == engine.GivenText("text", ("two ", " on a ", ""), 2)


async def test_a_box() -> None:
    image = await read(GivenImage(image_url=PICTURE, box=(2, 1, 4, 8)))
    assert isinstance(image, engine.GivenImage)
    assert image.pixels.shape == (8, 12, 3)
    assert image.repainted.sum() == 14
    assert image.repainted[1:8, 2:4].all()


async def test_what_is_transparent_is_painted_anew() -> None:
    mask = Image.new("RGBA", (12, 8), (0, 0, 0, 255))
    mask.putpixel((3, 5), (0, 0, 0, 0))
    image = await read(GivenImage(image_url=PICTURE, mask_url=png(mask)))
    assert isinstance(image, engine.GivenImage)
    assert np.argwhere(image.repainted).tolist() == [[5, 3]]


@pytest.mark.parametrize(
    ("given", "param", "told"),
    [
        (GivenImage(image_url=PICTURE), "g[0]", "either as box or as mask_url"),
        (GivenImage(image_url=PICTURE, box=(0, 0, 13, 8)), "g[0].box", "12 x 8 px"),
        (GivenImage(image_url=Picture(), box=(0, 0, 1, 1)), "g[0].image_url", "no picture came"),
        (GivenImage(image_url=PICTURE, mask_url=PICTURE), "g[0].mask_url", "nothing of the mask is transparent"),
        (
            GivenImage(image_url=PICTURE, mask_url=png(Image.new("RGBA", (3, 3)))),
            "g[0].mask_url",
            "a mask of 3 x 3 px came for a picture of 12 x 8",
        ),
    ],
)
async def test_what_cannot_be_read(given: Given, param: str, told: str) -> None:
    with pytest.raises(ProtocolError, match=told) as caught:
        await read(given)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("slots", "param", "told"),
    [
        (["words"], "g[0].slot", "this answer has image, text"),
        (["image"], "g[0].slot", "which holds image"),
        (["text", "text"], "g[1].slot", "given twice"),
    ],
)
def test_what_is_given_has_a_slot_of_its_kind(slots: list[str], param: str, told: str) -> None:
    given = [engine.GivenText(slot, ("a cat",)) for slot in slots]
    with pytest.raises(ProtocolError, match=told) as caught:
        check_given(given, SPEAKING_RECIPES["text_to_image"], "g")
    assert caught.value.param == param
