"""Pictures: opened, checked, shown and saved, and pictures that are still being unmasked."""

from __future__ import annotations

import io
import os
import shutil
import sys
import warnings
from functools import cached_property
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnisdk.editing import Box, Region
from omnisdk.errors import MediaError
from omnisdk.media.io import read_source, shown_in_notebook, written
from omnisdk.protocol.limits import MAX_IMAGE_PIXELS
from omnisdk.protocol.picture import Picture

if TYPE_CHECKING:
    from PIL.Image import Image as Pil

FOG: Final = (168, 173, 182)  # the colour of a masked cell

Pixels = NDArray[np.uint8]


class Image:
    """A picture: RGB pixels, at most 40 megapixels.

    Image("cat.png"), Image(jpeg_bytes), Image("https://..."), Image(array) where the array is (rows, columns) or
    (rows, columns, 1 | 3 | 4), uint8 or float in 0..1, or Image(pil_image). Transparency is laid over white.
    In a Canvas: mask, what of it is painted anew, or Image() for a picture that is made whole.

    Raises MediaError for bytes that are no picture, truncated files and pictures that are too large.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes | ArrayLike | Pil | None = None,
        *,
        mask: Box | Region | None = None,
    ) -> None:
        self.opened = mask
        if source is None:
            pixels = np.zeros((0, 0, 3), np.uint8)
        elif isinstance(source, str | os.PathLike | bytes | bytearray):
            pixels = _pixels_of_file(source)
        elif _is_pil(source):
            pixels = _rgb(source, "the PIL image")
        else:
            pixels = _pixels_of_array(np.asarray(source))
        pixels.setflags(write=False)
        self.pixels: Pixels = pixels  # (rows, columns, 3)

    @property
    def blank(self) -> bool:
        """Whether there is nothing to see: Image() only stands in a Canvas."""
        return not self.pixels.size

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @cached_property
    def png(self) -> bytes:
        """The same as a PNG file."""
        buffer = io.BytesIO()
        self.pil().save(buffer, "PNG")
        return buffer.getvalue()

    def data_url(self, max_bytes: int) -> str:
        """The same in a URL."""
        return Picture(self.encoded(max_bytes)).data_url

    def encoded(self, max_bytes: int) -> bytes:
        """As PNG, or JPEG where a PNG would have more bytes. Raises MediaError if both have, and of a blank one."""
        self._check_seen()
        if len(self.png) <= max_bytes:
            return self.png
        buffer = io.BytesIO()
        self.pil().save(buffer, "JPEG", quality=90)
        if buffer.tell() > max_bytes:
            raise MediaError(
                f"{self} has {buffer.tell()} bytes as JPEG; {max_bytes} can be sent; "
                "make it smaller: image.resized(1024, 768)"
            )
        return buffer.getvalue()

    def pil(self) -> Pil:
        """The same as a PIL image."""
        from PIL import Image as PilImage

        return PilImage.fromarray(self.pixels)

    def resized(self, width: int, height: int, *, smooth: bool = True) -> Image:
        """The same at another size, with smooth or hard pixel edges."""
        from PIL import Image as PilImage

        if self.blank or width < 1 or height < 1:
            raise MediaError(f"{self} cannot be made {width}x{height}; both sides need a pixel at least")
        filtering = PilImage.Resampling.BICUBIC if smooth else PilImage.Resampling.NEAREST
        return Image(self.pil().resize((width, height), filtering))

    def cropped(self, left: int, top: int, width: int, height: int) -> Image:
        """The part from (left, top) on, in pixels. Raises MediaError for one that does not lie in the picture."""
        columns, rows = self.size
        if not (width > 0 and height > 0 and 0 <= left <= columns - width and 0 <= top <= rows - height):
            raise MediaError(
                f"a part of {width}x{height} at ({left}, {top}) came; it must lie in the picture of {columns}x{rows}"
            )
        return Image(self.pixels[top : top + height, left : left + width])

    def beside(self, other: Image) -> Image:
        """This and the other on its right, which is made as high."""
        width, height = other.size
        fitted = other if height == self.size[1] else other.resized(round(width * self.size[1] / height), self.size[1])
        return Image(np.concatenate([self.pixels, fitted.pixels], axis=1))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write PNG, JPEG, WebP, ... by the suffix and return the path. Raises MediaError."""
        self._check_seen()
        return written(path, self._write)

    def _write(self, target: Path) -> None:
        try:
            self.pil().save(target)
        except ValueError:
            raise MediaError(
                f"pictures cannot be saved as {target.suffix or 'a file without suffix'}; use .png, .jpg or .webp"
            ) from None

    def _check_seen(self) -> None:
        if self.blank:
            raise MediaError("Image() has nothing to show; it only stands in a Canvas, for a picture that is made")

    def show(self) -> None:
        """Show in the notebook, in a window, or as colour blocks in a terminal. Raises MediaError without any."""
        if shown_in_notebook(self):
            return
        if _has_display() and self._shown_in_window():
            return
        if not sys.stdout.isatty():
            raise MediaError('no notebook, window or terminal to show it in; save it instead: image.save("image.png")')
        sys.stdout.write(self.blocks(min(64, shutil.get_terminal_size().columns)) + "\n")

    def blocks(self, columns: int = 32, *, colour: bool = True) -> str:
        """A text view `columns` characters wide: two pixels a character in 24-bit colour, or shades without colour."""
        grid = self.cells(columns)
        if colour:
            return "\n".join(_colour_line(upper, lower) for upper, lower in zip(grid[0::2], grid[1::2], strict=True))
        return "\n".join(_shade_line(upper, lower) for upper, lower in zip(grid[0::2], grid[1::2], strict=True))

    def cells(self, columns: int) -> Pixels:
        """The picture as (an even number of rows, columns, 3) mean colours, for a text view."""
        self._check_seen()
        width, height = self.size
        columns = max(1, columns)
        rows = max(2, ceil(columns * height / width / 2) * 2)
        from PIL import Image as PilImage

        return np.asarray(self.pil().resize((columns, rows), PilImage.Resampling.BOX), np.uint8)

    def _shown_in_window(self) -> bool:
        from PIL import ImageShow

        return bool(ImageShow.show(self.pil()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and np.array_equal(self.pixels, other.pixels)

    def __hash__(self) -> int:
        return hash((self.pixels.shape, self.pixels.tobytes()))

    def __str__(self) -> str:
        width, height = self.size
        return f"Image {width}x{height}"

    def __repr__(self) -> str:
        width, height = self.size
        return f"{type(self).__name__}(width={width}, height={height})"

    def _repr_png_(self) -> bytes:
        return self.png


class PreviewImage(Image):
    """A picture that is still being unmasked.

    mask: (rows, columns) bool, True where the cell is still masked. confidence: (rows, columns) float32 in 0..1.
    """

    def __init__(self, source: bytes, mask: NDArray[np.bool_], confidence: NDArray[np.float32]) -> None:
        super().__init__(source)
        self.mask = mask
        self.confidence = confidence

    @property
    def unmasked_ratio(self) -> float:
        """The share of cells that are known, 0..1."""
        return float(1.0 - self.mask.mean()) if self.mask.size else 1.0

    def fogged(self, density: float = 0.85) -> Image:
        """The same with its masked cells under fog."""
        return Image(self._under_fog(self.pixels, density))

    def cells(self, columns: int) -> Pixels:
        """As of any picture, masked cells under fog."""
        return self._under_fog(super().cells(columns), 0.85)

    def show(self) -> None:
        """As any picture, masked cells under fog."""
        self.fogged().show()

    def _under_fog(self, pixels: Pixels, density: float) -> Pixels:
        if not self.mask.size:
            return pixels
        rows, columns = pixels.shape[:2]
        row_of = np.arange(rows) * self.mask.shape[0] // rows
        column_of = np.arange(columns) * self.mask.shape[1] // columns
        fog = self.mask[np.ix_(row_of, column_of)][:, :, None] * density
        blended: Pixels = np.rint(pixels * (1.0 - fog) + np.array(FOG) * fog).astype(np.uint8)
        return blended


# Opening


def _is_pil(source: object) -> bool:
    pil = sys.modules.get("PIL.Image")
    return pil is not None and isinstance(source, pil.Image)


def _pixels_of_file(source: str | os.PathLike[str] | bytes | bytearray) -> Pixels:
    from PIL import Image as PilImage
    from PIL import UnidentifiedImageError

    encoded, name = read_source(source, "picture")
    if not encoded:
        raise MediaError(f"{name} is empty (0 bytes); give a PNG, JPEG or WebP file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PilImage.DecompressionBombWarning)
            with PilImage.open(io.BytesIO(encoded)) as picture:
                return _rgb(picture, name)
    except PilImage.DecompressionBombError as error:
        raise MediaError(_too_large(name, str(error).split(",")[0])) from None
    except UnidentifiedImageError:
        beginning = encoded[:8].hex(" ")
        raise MediaError(
            f"{name} is no picture ({len(encoded)} bytes beginning {beginning}); give a PNG, JPEG or WebP file"
        ) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise MediaError(f"{name} is a truncated or damaged picture ({error}); save or copy it again") from None


def _rgb(picture: Any, name: str) -> Pixels:
    from PIL import Image as PilImage
    from PIL import ImageOps

    width, height = picture.size
    if width * height > MAX_IMAGE_PIXELS:
        raise MediaError(_too_large(name, f"it is {width}x{height} = {width * height / 1e6:.0f} megapixels"))
    if width * height == 0:
        raise MediaError(f"{name} is {width}x{height} and has no pixels; give a picture")
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16"):
        upright = PilImage.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if "A" in upright.getbands() or "transparency" in upright.info:
        rgba = upright.convert("RGBA")
        upright = PilImage.alpha_composite(PilImage.new("RGBA", rgba.size, "white"), rgba)
    return np.array(upright.convert("RGB"), np.uint8)


def _pixels_of_array(array: NDArray[Any]) -> Pixels:
    from PIL import Image as PilImage

    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or array.size == 0:
        raise MediaError(
            f"a picture cannot be made of an array of shape {array.shape}; "
            "give (rows, columns) or (rows, columns, 1 | 3 | 4)"
        )
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise MediaError("the array holds NaN or infinite values; give floats in 0..1")
        array = np.rint(np.clip(array, 0.0, 1.0) * 255.0).astype(np.uint8)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype != np.uint8:
        raise MediaError(f"the array is {array.dtype}; give uint8 or float in 0..1")
    return _rgb(PilImage.fromarray(np.ascontiguousarray(array)), "the array")


def _too_large(name: str, problem: str) -> str:
    limit = MAX_IMAGE_PIXELS // 1_000_000
    return f"{name} is too large: {problem}; pictures may have {limit} megapixels; make it smaller first"


# Showing


def _colour_line(upper: Pixels, lower: Pixels) -> str:
    marks = (
        f"\x1b[38;2;{top[0]};{top[1]};{top[2]}m\x1b[48;2;{low[0]};{low[1]};{low[2]}m▀"
        for top, low in zip(upper, lower, strict=True)
    )
    return "".join(marks) + "\x1b[0m"


def _shade_line(upper: Pixels, lower: Pixels) -> str:
    shades = "█▓▒░ "
    weights = np.array([0.299, 0.587, 0.114])
    light = (upper.astype(np.float64) + lower) / 2.0 @ weights
    return "".join(shades[int(value / 256.0 * len(shades))] for value in light)


def _has_display() -> bool:
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
