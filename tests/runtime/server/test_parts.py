import base64
import io

import numpy as np
import pytest
from PIL import Image

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputAudio, InputImage, InputText, Message, OutputText
from runtime.engine.request import ImagePart, SpeechPart, TextPart
from runtime.server.parts import KEPT_IMAGE_SIDE, num_bytes, read_part, speech_part, with_speech

pytestmark = pytest.mark.anyio


def data_url(image: Image.Image, kind: str = "PNG") -> str:
    file = io.BytesIO()
    image.save(file, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(file.getvalue()).decode()}"


async def test_text() -> None:
    assert await read_part(InputText(text="a"), "p") == TextPart("a")
    assert await read_part(OutputText(text="b"), "p") == TextPart("b")


async def test_speech_is_little_endian() -> None:
    pcm = np.arange(4800, dtype="<i2")
    part = await read_part(InputAudio(audio=base64.b64encode(pcm.tobytes()).decode()), "p")
    assert isinstance(part, SpeechPart)
    assert part.sample_rate_hz == 24_000
    assert np.array_equal(part.pcm, pcm)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_pictures(kind: str) -> None:
    part = await read_part(InputImage(image_url=data_url(Image.new("RGB", (12, 8), "red"), kind)), "p")
    assert isinstance(part, ImagePart)
    assert part.pixels.shape == (8, 12, 3)


async def test_a_large_picture_is_kept_small() -> None:
    part = await read_part(InputImage(image_url=data_url(Image.new("RGB", (3000, 1500)))), "p")
    assert isinstance(part, ImagePart)
    assert part.pixels.shape == (KEPT_IMAGE_SIDE // 2, KEPT_IMAGE_SIDE, 3)


async def test_100_megapixels_are_refused_before_they_are_decoded() -> None:
    url = data_url(Image.new("1", (10_000, 10_000)))
    with pytest.raises(ProtocolError, match=r"10000 x 10000, 100\.0 megapixels; at most 40\.0") as caught:
        await read_part(InputImage(image_url=url), "item.content[0]")
    assert (caught.value.code, caught.value.param) == (errors.INVALID_IMAGE, "item.content[0].image_url")


@pytest.mark.parametrize("content", [b"no image at all", b"\x89PNG\r\n\x1a\n cut short"])
async def test_bytes_that_are_no_image(content: bytes) -> None:
    url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    with pytest.raises(ProtocolError, match="PNG, JPEG or WebP") as caught:
        await read_part(InputImage(image_url=url), "p")
    assert caught.value.code == errors.INVALID_IMAGE


def test_retrieved_speech_is_what_was_said() -> None:
    pcm = bytes(range(200)) * 48
    item = Message(role="user", content=[InputText(text="listen"), InputAudio(transcript="hm")])
    content = with_speech(item, (TextPart("listen"), speech_part(pcm)))
    assert content == [
        InputText(text="listen"),
        InputAudio(audio=base64.b64encode(pcm).decode(), transcript="hm"),
    ]


def test_num_bytes() -> None:
    assert num_bytes(TextPart("a")) == 0
    assert num_bytes(speech_part(bytes(200))) == 200
    assert num_bytes(ImagePart(np.zeros((4, 5, 3), np.uint8))) == 60
