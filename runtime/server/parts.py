"""What the model reads of an item: its parts with their speech and pictures decoded."""

import asyncio

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omnisdk.protocol import errors, limits
from omnisdk.protocol.audio import Encoding, speech_of
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import (
    ContentPart,
    FunctionCall,
    FunctionCallOutput,
    InputAudio,
    InputImage,
    InputText,
    Item,
    Message,
    OutputAudio,
    OutputText,
)
from omnisdk.protocol.picture import Picture, check_picture
from runtime.codecs.image import ImageError, decode_image
from runtime.engine.output import Sound
from runtime.engine.request import ImagePart, Part, SpeechPart, TextPart
from runtime.server.sound import wire_pcm

KEPT_IMAGE_SIDE = 1024  # pixels; what a model reads is far smaller


async def read_item(item: Item, encoding: Encoding, path: str = "item") -> tuple[Part, ...]:
    """What the model reads of an item. encoding: of its speech. Raises ProtocolError."""
    match item:
        case Message():
            parts = enumerate(item.content)
            return tuple([await _read_part(part, f"{path}.content[{index}]", encoding) for index, part in parts])
        case FunctionCall():
            return (TextPart(called(item.name, item.arguments)),)
        case FunctionCallOutput():
            return (TextPart(item.output),)


def called(name: str, arguments: str) -> str:
    """A function call as the model reads it, and writes it."""
    return f'{{"name": "{name}", "arguments": {arguments}}}'


async def _read_part(part: ContentPart, path: str, encoding: Encoding) -> Part:
    """What the model reads of a part. Pictures are decoded in a thread. Raises ProtocolError."""
    match part:
        case InputText() | OutputText():
            return TextPart(part.text)
        case InputAudio():
            return SpeechPart(speech_of(part.audio or None, f"{path}.audio", encoding), encoding.rate_hz)
        case OutputAudio():
            return TextPart(part.transcript or "")
        case InputImage():
            return await read_picture(part.image_url, f"{path}.image_url")


async def read_picture(picture: Picture | None, param: str) -> ImagePart:
    """Decoded in a thread. Raises ProtocolError."""
    encoded = check_picture(picture, param)
    try:
        return ImagePart(await asyncio.to_thread(_pixels, encoded))
    except ImageError as problem:
        raise ProtocolError(str(problem), code=errors.INVALID_IMAGE, param=param) from None


def _pixels(encoded: bytes) -> NDArray[np.uint8]:
    pixels = decode_image(encoded, max_pixels=limits.MAX_IMAGE_PIXELS)
    if max(pixels.shape[:2]) <= KEPT_IMAGE_SIDE:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((KEPT_IMAGE_SIDE, KEPT_IMAGE_SIDE))
    return np.asarray(image)


def with_speech(item: Message, parts: tuple[Part, ...], encoding: Encoding) -> list[ContentPart]:
    """The item's content with the speech back in it, as clients retrieve it."""
    return [
        InputAudio(audio=wire_pcm(Sound(part.pcm, part.sample_rate_hz), encoding), transcript=content.transcript)
        if isinstance(content, InputAudio) and isinstance(part, SpeechPart)
        else content
        for content, part in zip(item.content, parts, strict=False)
    ] or item.content


def num_bytes(part: Part) -> int:
    """The memory its speech or picture takes."""
    if isinstance(part, SpeechPart):
        return part.pcm.nbytes
    return part.pixels.nbytes if isinstance(part, ImagePart) else 0
