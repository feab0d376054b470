"""Pictures to codes and back, and image files to pixels and back."""

import io
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from runtime.models.image_tokenizer import ImageTokenizer

Pixels = NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "WEBP")
FORMATS_TEXT = "PNG, JPEG or WebP"


class ImageError(ValueError):
    """Bytes that cannot be taken as a picture; says what came, what is allowed and what to do."""


def decode_image(data: bytes, *, max_pixels: int = 40_000_000) -> Pixels:
    """An image file -> (height, width, 3) uint8 RGB, upright, transparency on white.

    Any mode of PNG, JPEG and WebP, of an animation the first frame. Raises ImageError for anything else, for damaged
    files, and for more than `max_pixels`, which is checked before a pixel is decoded.
    """
    image = _open(data)
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"the image is {width} x {height}, {width * height / 1e6:.1f} megapixels; at most "
            f"{max_pixels / 1e6:.1f} megapixels are allowed; scale it down and send it again"
        )
    try:
        image.load()
        return np.asarray(_to_rgb(ImageOps.exif_transpose(image)), dtype=np.uint8).copy()
    except Exception as error:  # decoders raise whatever they please on damaged files
        raise ImageError(
            f"the {image.format} image of {len(data)} bytes is damaged or cut short ({error}); "
            "send the complete file again"
        ) from error


def encode_png(pixels: Pixels, scale: int = 1) -> bytes:
    """(height, width, 3) uint8 -> PNG file; each pixel becomes a square of `scale` pixels."""
    if scale < 1:
        raise ValueError(f"scale {scale} is not allowed; use 1 or more")
    enlarged = pixels.repeat(scale, axis=0).repeat(scale, axis=1)
    file = io.BytesIO()
    Image.fromarray(enlarged).save(file, "PNG")
    return file.getvalue()


class ImageCodec:
    """Pictures to the codes of an image tokenizer and back.

    size_px: side of the square a picture is brought to; a multiple of the tokenizer's downsampling.
    """

    def __init__(self, tokenizer: ImageTokenizer, size_px: int) -> None:
        side = tokenizer.config.downsampling
        if size_px < side or size_px % side:
            raise ValueError(f"image size {size_px} px does not fit codes of {side} px; use a multiple of {side}")
        self._tokenizer = tokenizer.eval()
        self._weights = tokenizer.decoder.conv_in.weight  # where they lie and what they are, pictures follow
        self.size_px = size_px

    @property
    def rows(self) -> int:
        """Rows, and columns, of the codes of a picture."""
        return self.size_px // self._tokenizer.config.downsampling

    @torch.inference_mode()
    def encode(self, pixels: Pixels, size_px: int | None = None) -> Tensor:
        """(height, width, 3) uint8 of any size -> codes (rows, columns), int64.

        size_px: side of the square to bring it to, if not that of the pictures that are drawn.
        """
        square = torch.from_numpy(fit_square(pixels, size_px or self.size_px)).permute(2, 0, 1)
        codes: Tensor = self._tokenizer.encode(((square / 255 - 0.5) / 0.5)[None].to(self._weights))[0]
        return codes.cpu()

    @torch.inference_mode()
    def decode(self, codes: Tensor) -> Pixels:
        """Codes (rows, columns), any number of either -> (height, width, 3) uint8."""
        decoded = self._tokenizer.decode(codes[None].to(self._weights.device))[0].float().cpu()
        scaled = ((decoded + 1) / 2).clamp(0, 1) * 255
        pixels: Pixels = scaled.to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        return pixels


def fit_square(pixels: Pixels, size_px: int) -> Pixels:
    """Bicubic with antialiasing to a shorter side of `size_px`, then the centre: (size_px, size_px, 3) uint8."""
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise ImageError(
            f"pixels of shape {pixels.shape} and type {pixels.dtype} came; (height, width, 3) of uint8 is needed"
        )
    pixels = _without_far_ends(pixels)
    height, width = pixels.shape[:2]
    short = min(height, width)
    resized = (int(size_px * width / short), int(size_px * height / short))
    left, top = (round((side - size_px) / 2) for side in resized)
    image = Image.fromarray(pixels).resize(resized, Image.Resampling.BICUBIC)
    return np.array(image.crop((left, top, left + size_px, top + size_px)))


def _without_far_ends(pixels: Pixels) -> Pixels:
    """The middle of a long strip: its ends would be cropped anyway, after being blown up to gigabytes."""
    height, width = pixels.shape[:2]
    longest = 8 * min(height, width)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return pixels[top : top + longest, left : left + longest]


def _open(data: bytes) -> Image.Image:
    """Read the header alone."""
    if not data:
        raise ImageError(f"the image is empty (0 bytes); send a {FORMATS_TEXT} file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError(f"the image is far too large ({error}); scale it down and send it again") from error
    except Exception as error:
        raise ImageError(
            f"{len(data)} bytes beginning {data[:8]!r} are not an image that can be read; "
            f"{FORMATS_TEXT} is allowed; convert it and send it again"
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which a plain conversion would clip at 255
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")
