"""Parts of an answer as clients give them -> as the engine takes them."""

import asyncio
import io
from collections.abc import Sequence

import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray
from PIL import Image

from omnisdk.protocol import errors, limits, settings
from omnisdk.protocol.audio import PCM, Encoding, speech_of
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.picture import Picture, check_picture
from runtime.codecs.image import ImageError, decode_image
from runtime.diffusion.canvas import Modality
from runtime.engine.given import Given, GivenImage, GivenSpeech, GivenText
from runtime.engine.recipe import Recipe

MASK = "{mask}"
KINDS: dict[type[Given], Modality] = {GivenText: "text", GivenImage: "image", GivenSpeech: "speech"}
OPAQUE = 128  # of 255: what is less is transparent


async def read_given(
    given: Sequence[settings.Given] | UnsetType, path: str, encoding: Encoding = PCM
) -> tuple[Given, ...]:
    """encoding: of speech. Pictures are decoded in a thread. Raises ProtocolError."""
    told = () if given is UNSET else enumerate(given)
    return tuple([await asyncio.to_thread(_read, part, f"{path}[{index}]", encoding) for index, part in told])


def check_given(given: Sequence[Given], recipe: Recipe, path: str) -> None:
    """Whether the answer has slots for what is given. Raises ProtocolError."""
    slots = {slot.name: slot for slot in recipe.slots}
    named: set[str] = set()
    for index, part in enumerate(given):
        kind, slot, where = KINDS[type(part)], slots.get(part.slot), f"{path}[{index}].slot"
        if slot is None:
            raise _refused(
                f"{kind} was given for slot {part.slot[:80]!r}, and this answer has {', '.join(slots)}; give parts of "
                "those, or name the slot in canvas",
                where,
            )
        if slot.modality != kind:
            raise _refused(f"{kind} was given for slot {part.slot!r}, which holds {slot.modality}", where)
        if part.slot in named:
            raise _refused(f"slot {part.slot!r} was given twice; give each slot once", where)
        named.add(part.slot)


def _read(part: settings.Given, path: str, encoding: Encoding) -> Given:
    if isinstance(part, settings.GivenText):
        return GivenText(part.slot, tuple(part.text.split(MASK)), part.gap)
    if isinstance(part, settings.GivenSpeech):
        return _speech(part, path, encoding)
    pixels = _decoded(part.image_url, f"{path}.image_url")
    if (part.box is None) == (part.mask_url is None):
        raise _refused("give the region to paint anew either as box or as mask_url, one of them", path)
    size = pixels.shape[:2]
    box, mask_url = part.box, part.mask_url
    mask = boxed(box, size, f"{path}.box") if box else read_mask(mask_url, size, f"{path}.mask_url")
    return GivenImage(part.slot, pixels, mask)


def _speech(part: settings.GivenSpeech, path: str, encoding: Encoding) -> GivenSpeech:
    pcm = speech_of(part.audio, f"{path}.audio", encoding)
    start_ms, end_ms = part.ms
    length_ms = 1000 * len(pcm) / encoding.rate_hz
    if not 0 <= start_ms < end_ms <= length_ms:
        raise _refused(
            f"{start_ms:g} to {end_ms:g} ms came of speech of {length_ms:.0f} ms; send a beginning and a later end "
            "within it",
            f"{path}.ms",
        )
    return GivenSpeech(part.slot, pcm, encoding.rate_hz, (start_ms / 1000, end_ms / 1000))


def _decoded(picture: Picture | None, param: str) -> NDArray[np.uint8]:
    try:
        return decode_image(check_picture(picture, param), max_pixels=limits.MAX_IMAGE_PIXELS)
    except ImageError as problem:
        raise ProtocolError(str(problem), code=errors.INVALID_IMAGE, param=param) from None


def boxed(box: tuple[int, int, int, int], size: tuple[int, ...], param: str) -> NDArray[np.bool_]:
    """(height, width), true inside. Raises ProtocolError for a box that lies not in a picture of `size`."""
    left, top, right, bottom = box
    height, width = size
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise _refused(
            f"the box {list(box)} came for a picture of {width} x {height} px; send left, top, right, bottom inside "
            "of it, the last two greater",
            param,
        )
    mask = np.zeros((height, width), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def read_mask(mask: Picture | None, size: tuple[int, ...], param: str) -> NDArray[np.bool_]:
    """(height, width), true where the mask of a picture of `size` is transparent. Raises ProtocolError."""
    encoded = check_picture(mask, param)
    _decoded(encoded, param)  # whether it is a picture, and no larger than allowed
    return transparent_in(alpha_of(encoded), size, param)


def alpha_of(encoded: bytes) -> NDArray[np.uint8]:
    """(height, width) of a picture that can be decoded; 255 everywhere if it has no transparency."""
    with Image.open(io.BytesIO(encoded)) as picture:
        return np.asarray(picture.convert("RGBA"))[..., 3]


def transparent_in(alpha: NDArray[np.uint8], size: tuple[int, ...], param: str) -> NDArray[np.bool_]:
    """alpha: (height, width) of a mask for a picture of `size`. Raises ProtocolError for one that does not fit it."""
    if alpha.shape != size:
        raise _refused(
            f"a mask of {alpha.shape[1]} x {alpha.shape[0]} px came for a picture of {size[1]} x {size[0]} px; "
            "send one of the same size",
            param,
        )
    mask = alpha < OPAQUE
    if not mask.any():
        raise _refused("nothing of the mask is transparent; make the region to be painted anew transparent", param)
    return mask


def _refused(message: str, param: str) -> ProtocolError:
    return ProtocolError(message, code=errors.INVALID_VALUE, param=param)
