"""What the model reads of an item: its parts with their speech and pictures decoded."""

import asyncio
import base64

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import ContentPart, InputAudio, InputImage, InputText, Message, OutputText
from omnisdk.protocol.media import image_bytes_of, pcm_of
from runtime.codecs.image import ImageError, decode_image
from runtime.engine.request import ImagePart, Part, SpeechPart, TextPart

KEPT_IMAGE_SIDE = 1024  # pixels; what a model reads is far smaller


async def read_part(part: ContentPart, path: str) -> Part:
    """What the model reads of a part. Pictures are decoded in a thread. Raises ProtocolError."""
    match part:
        case InputText() | OutputText():
            return TextPart(part.text)
        case InputAudio():
            return speech_part(pcm_of(part, path))
        case InputImage():
            encoded = image_bytes_of(part, path)
            try:
                return ImagePart(await asyncio.to_thread(_pixels, encoded))
            except ImageError as problem:
                raise ProtocolError(str(problem), code=errors.INVALID_IMAGE, param=f"{path}.image_url") from None
        case _:
            raise TypeError(f"{type(part).__name__} is not a part that can be read")


def _pixels(encoded: bytes) -> NDArray[np.uint8]:
    pixels = decode_image(encoded, max_pixels=limits.MAX_IMAGE_PIXELS)
    if max(pixels.shape[:2]) <= KEPT_IMAGE_SIDE:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((KEPT_IMAGE_SIDE, KEPT_IMAGE_SIDE))
    return np.asarray(image)


def speech_part(pcm: bytes) -> SpeechPart:
    return SpeechPart(np.frombuffer(pcm, "<i2").astype(np.int16), limits.WIRE_SAMPLE_RATE_HZ)


def with_speech(item: Message, parts: tuple[Part, ...]) -> list[ContentPart]:
    """The item's content with the speech back in it, as clients retrieve it."""
    return [
        InputAudio(
            audio=base64.b64encode(part.pcm.astype("<i2").tobytes()).decode("ascii"), transcript=content.transcript
        )
        if isinstance(content, InputAudio) and isinstance(part, SpeechPart)
        else content
        for content, part in zip(item.content, parts, strict=False)
    ] or item.content


def num_bytes(part: Part) -> int:
    """The memory its speech or picture takes."""
    if isinstance(part, SpeechPart):
        return part.pcm.nbytes
    return part.pixels.nbytes if isinstance(part, ImagePart) else 0
