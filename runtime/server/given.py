"""Parts of an answer as clients give them -> as the engine takes them."""

import asyncio
import io
from collections.abc import Sequence

import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray
from PIL import Image

from omnisdk.protocol import errors, limits, settings
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.picture import Picture, check_picture
from runtime.codecs.image import ImageError, decode_image
from runtime.engine.given import GivenImage, GivenText

MASK = "{mask}"
OPAQUE = 128  # of 255: what is less is transparent


async def read_given(given: Sequence[settings.Given] | UnsetType, path: str) -> tuple[GivenText | GivenImage, ...]:
    """Pictures are decoded in a thread. Raises ProtocolError."""
    told = () if given is UNSET else enumerate(given)
    return tuple([await asyncio.to_thread(_read, part, f"{path}[{index}]") for index, part in told])


def _read(part: settings.Given, path: str) -> GivenText | GivenImage:
    if isinstance(part, settings.GivenText):
        return GivenText(part.slot, tuple(part.text.split(MASK)), part.gap)
    pixels = _decoded(part.image_url, f"{path}.image_url")
    if (part.box is None) == (part.mask_url is None):
        raise _refused("give the region to paint anew either as box or as mask_url, one of them", path)
    size = pixels.shape[:2]
    mask = _boxed(part.box, size, path) if part.box is not None else _transparent(part.mask_url, size, path)
    return GivenImage(part.slot, pixels, mask)


def _decoded(picture: Picture | None, param: str) -> NDArray[np.uint8]:
    try:
        return decode_image(check_picture(picture, param), max_pixels=limits.MAX_IMAGE_PIXELS)
    except ImageError as problem:
        raise ProtocolError(str(problem), code=errors.INVALID_IMAGE, param=param) from None


def _boxed(box: tuple[int, int, int, int], size: tuple[int, ...], path: str) -> NDArray[np.bool_]:
    left, top, right, bottom = box
    height, width = size
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise _refused(
            f"the box {list(box)} came for a picture of {width} x {height} px; send left, top, right, bottom inside "
            "of it, the last two greater",
            f"{path}.box",
        )
    mask = np.zeros((height, width), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def _transparent(mask: Picture | None, size: tuple[int, ...], path: str) -> NDArray[np.bool_]:
    param = f"{path}.mask_url"
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
