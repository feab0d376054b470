import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from runtime.codecs.image import ImageCodec, ImageError, decode_image, encode_png, fit_square
from runtime.models.image_tokenizer import ImageTokenizer, ImageTokenizerConfig, StageConfig

RED_GREEN = np.array([[[255, 0, 0], [0, 255, 0]]] * 3, np.uint8).repeat(8, 0).repeat(8, 1)  # (24, 16, 3)


def as_file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(("kind", "tolerance"), [("PNG", 0), ("WEBP", 60), ("JPEG", 60)])
def test_every_format_is_read(kind: str, tolerance: int) -> None:
    pixels = decode_image(as_file(Image.fromarray(RED_GREEN), kind))
    assert pixels.dtype == np.uint8
    assert pixels.shape == RED_GREEN.shape
    assert np.abs(pixels[4:-4, 3:5].astype(int) - RED_GREEN[4:-4, 3:5]).max() <= tolerance


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    white = Image.new("L", (5, 4), 255)
    image = Image.fromarray(np.full((4, 5), 65535, np.uint16)) if mode == "I;16" else white.convert(mode)
    pixels = decode_image(as_file(image))
    assert pixels.shape == (4, 5, 3)
    assert pixels.min() >= 254


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    grey = Image.fromarray(np.array([[0, 32_768, 65_535]], np.uint16))
    assert decode_image(as_file(grey))[0, :, 0].tolist() == [0, 127, 255]


def test_cmyk_is_read() -> None:
    pixels = decode_image(as_file(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert pixels[4, 4, 0] > 200 > 60 > pixels[4, 4, 1]


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (2, 2), (10, 20, 30, 0))
    assert decode_image(as_file(clear)).min() == 255
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([10, 20, 30])
    assert decode_image(as_file(palette, transparency=0)).min() == 255


def test_a_picture_taken_sideways_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode_image(as_file(Image.fromarray(RED_GREEN), "JPEG", exif=exif)).shape == (16, 24, 3)


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    pixels = decode_image(as_file(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True))
    assert pixels[0, 0].tolist() == [255, 0, 0]


def test_the_size_is_checked_before_a_pixel_is_decoded() -> None:
    with pytest.raises(ImageError, match=r"20 x 10.*at most 0\.0 megapixels.*scale it down"):
        decode_image(as_file(Image.new("RGB", (20, 10))), max_pixels=100)


def png_of_size(width: int, height: int) -> bytes:
    """A header that promises a picture, and no picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [7000, 10_000, 20_000, 100_000])
def test_huge_pictures_are_refused_by_their_header(side: int) -> None:
    with pytest.raises(ImageError, match="scale it down"):
        decode_image(png_of_size(side, side))


@pytest.mark.parametrize("data", [b"", b"hello, this is text", b"\x89PNG\r\n\x1a\n", b"%PDF-1.4", b"GIF89a\1\0\1\0"])
def test_what_is_no_picture_is_refused_with_what_is_allowed(data: bytes) -> None:
    with pytest.raises(ImageError, match="PNG, JPEG or WebP"):
        decode_image(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_every_beginning_of_a_file_is_refused(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = as_file(Image.fromarray(noise), kind)
    for length in range(0, len(whole) - 40, max(1, len(whole) // 40)):
        with pytest.raises(ImageError):
            decode_image(whole[:length])


def test_png_and_back_enlarged() -> None:
    pixels = decode_image(encode_png(RED_GREEN, scale=3))
    assert np.array_equal(pixels[::3, ::3], RED_GREEN)
    assert np.array_equal(pixels[1::3, 2::3], RED_GREEN)
    with pytest.raises(ValueError, match="scale 0"):
        encode_png(RED_GREEN, scale=0)


@pytest.mark.parametrize("size_px", [256, 512])
def test_the_shorter_side_is_fitted_and_the_middle_kept(size_px: int) -> None:
    """The published preprocessing: Pillow's own bicubic resize, then the centre."""
    pixels = np.random.default_rng(0).integers(0, 256, (317, 200, 3), dtype=np.uint8)
    height = int(size_px * 317 / 200)
    whole = np.asarray(Image.fromarray(pixels).resize((size_px, height), Image.Resampling.BICUBIC))
    top = round((height - size_px) / 2)
    assert np.array_equal(fit_square(pixels, size_px), whole[top : top + size_px])


@pytest.mark.parametrize("shape", [(1, 50_000), (50_000, 1), (1, 1), (7, 300)])
def test_strips_and_specks_are_fitted_too(shape: tuple[int, int]) -> None:
    assert fit_square(np.full((*shape, 3), 7, np.uint8), 16).tolist() == np.full((16, 16, 3), 7).tolist()


@pytest.mark.parametrize(
    "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_pixels_of_another_shape_are_refused(pixels: Any) -> None:
    with pytest.raises(ImageError, match=r"\(height, width, 3\)"):
        fit_square(pixels, 16)


@pytest.fixture(scope="module")
def codec() -> ImageCodec:
    torch.manual_seed(0)
    stage = StageConfig(ch=32, ch_mult=(1, 1), num_res_blocks=(1, 1), patch_size=4)
    return ImageCodec(ImageTokenizer(ImageTokenizerConfig(stage, stage, codebook_dim=6)), size_px=32)


def test_codes_are_those_of_the_tokenizer(codec: ImageCodec) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    codes = codec.encode(noise)
    assert codes.shape == (codec.rows, codec.rows) == (4, 4)
    with torch.inference_mode():
        direct = codec._tokenizer.encode(torch.from_numpy(noise).permute(2, 0, 1)[None] / 127.5 - 1)[0]
    assert (codes == direct).float().mean() > 0.9
    assert codes.min() < codes.max()


def test_any_grid_is_decoded(codec: ImageCodec) -> None:
    pixels = codec.decode(torch.randint(0, 64, (3, 5)))
    assert pixels.shape == (24, 40, 3)
    assert pixels.dtype == np.uint8
    assert pixels.std() > 0


def test_a_size_that_does_not_fit_the_codes_is_refused(codec: ImageCodec) -> None:
    with pytest.raises(ValueError, match=r"33 px.*multiple of 8"):
        ImageCodec(codec._tokenizer, 33)
