import io

import numpy as np
import pytest
from PIL import Image

from omnisdk.protocol import errors
from omnisdk.protocol.audio import MU_LAW, PCM, Encoding
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Message,
    OutputText,
)
from omnisdk.protocol.picture import Picture
from runtime.engine.request import ImagePart, Part, SpeechPart, TextPart
from runtime.server.parts import KEPT_IMAGE_SIDE, num_bytes, read_item, with_speech

pytestmark = pytest.mark.anyio


async def read(part: ContentPart, encoding: Encoding = PCM) -> Part:
    (read,) = await read_item(Message(role="user", content=[part]), encoding)
    return read


def spoken(num_samples: int) -> SpeechPart:
    return SpeechPart(np.arange(num_samples, dtype=np.int16), 24_000)


def picture(image: Image.Image, kind: str = "PNG") -> Picture:
    file = io.BytesIO()
    image.save(file, kind)
    return Picture(file.getvalue())


async def test_text() -> None:
    assert await read(InputText(text="a")) == TextPart("a")
    assert (await read_item(Message(role="assistant", content=[OutputText(text="b")]), PCM)) == (TextPart("b"),)


async def test_speech_is_little_endian() -> None:
    pcm = np.arange(4800, dtype="<i2")
    part = await read(InputAudio(audio=pcm.tobytes()))
    assert isinstance(part, SpeechPart)
    assert part.sample_rate_hz == 24_000
    assert np.array_equal(part.pcm, pcm)


async def test_telephone_speech() -> None:
    part = await read(InputAudio(audio=bytes(800)), MU_LAW)
    assert isinstance(part, SpeechPart)
    assert (len(part.pcm), part.sample_rate_hz) == (800, 8_000)
    content = with_speech(Message(role="user", content=[InputAudio()]), (part,), MU_LAW)
    assert content == [InputAudio(audio=bytes(800))]


async def test_calls_are_read_as_they_are_written() -> None:
    call = FunctionCall(name="f", arguments='{"a": 1}')
    assert await read_item(call, PCM) == (TextPart('{"name": "f", "arguments": {"a": 1}}'),)
    assert await read_item(FunctionCallOutput(call_id="c", output="done"), PCM) == (TextPart("done"),)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
async def test_pictures(kind: str) -> None:
    part = await read(InputImage(image_url=picture(Image.new("RGB", (12, 8), "red"), kind)))
    assert isinstance(part, ImagePart)
    assert part.pixels.shape == (8, 12, 3)


async def test_a_large_picture_is_kept_small() -> None:
    part = await read(InputImage(image_url=picture(Image.new("RGB", (3000, 1500)))))
    assert isinstance(part, ImagePart)
    assert part.pixels.shape == (KEPT_IMAGE_SIDE // 2, KEPT_IMAGE_SIDE, 3)


async def test_100_megapixels_are_refused_before_they_are_decoded() -> None:
    huge = picture(Image.new("1", (10_000, 10_000)))
    with pytest.raises(ProtocolError, match=r"10000 x 10000, 100\.0 megapixels; at most 40\.0") as caught:
        await read(InputImage(image_url=huge))
    assert (caught.value.code, caught.value.param) == (errors.INVALID_IMAGE, "item.content[0].image_url")


@pytest.mark.parametrize("content", [b"no image at all", b"\x89PNG\r\n\x1a\n cut short"])
async def test_bytes_that_are_no_image(content: bytes) -> None:
    with pytest.raises(ProtocolError, match="PNG, JPEG or WebP") as caught:
        await read(InputImage(image_url=Picture(content)))
    assert caught.value.code == errors.INVALID_IMAGE


def test_retrieved_speech_is_what_was_said() -> None:
    part = spoken(4_800)
    item = Message(role="user", content=[InputText(text="listen"), InputAudio(transcript="hm")])
    content = with_speech(item, (TextPart("listen"), part), PCM)
    assert content == [
        InputText(text="listen"),
        InputAudio(audio=part.pcm.astype("<i2").tobytes(), transcript="hm"),
    ]


def test_num_bytes() -> None:
    assert num_bytes(TextPart("a")) == 0
    assert num_bytes(spoken(100)) == 200
    assert num_bytes(ImagePart(np.zeros((4, 5, 3), np.uint8))) == 60
