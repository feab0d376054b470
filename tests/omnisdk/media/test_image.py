import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from omnisdk.errors import MediaError
from omnisdk.media import FOG, Image, PreviewImage


def png_header(width: int, height: int) -> bytes:
    """A PNG that declares a size and holds no pixels worth the name."""
    buffer = io.BytesIO()
    PilImage.new("1", (1, 1)).save(buffer, "PNG")
    body = bytearray(buffer.getvalue())
    body[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    body[29:33] = zlib.crc32(bytes(body[12:29])).to_bytes(4, "big")
    return bytes(body)


def test_file_and_back(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    image = Image(pixels)
    assert image.size == (7, 5)
    assert Image(image.save(tmp_path / "a.png")) == image
    assert Image(image._repr_png_()) == image
    assert Image(image.pil()) == image
    assert str(image) == "Image 7x5"


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "I;16"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    buffer = io.BytesIO()
    picture = PilImage.new("L", (4, 4), 255).convert(mode) if mode != "I;16" else PilImage.new(mode, (4, 4), 65535)
    picture.save(buffer, "TIFF" if mode == "CMYK" else "PNG")
    assert Image(buffer.getvalue()).pixels.shape == (4, 4, 3)
    assert Image(buffer.getvalue()).pixels.min() > 250


def test_transparency_is_laid_over_white() -> None:
    array = np.zeros((2, 2, 4), np.uint8)
    array[0, 0] = (255, 0, 0, 255)
    assert Image(array).pixels[0, 0].tolist() == [255, 0, 0]
    assert Image(array).pixels[1, 1].tolist() == [255, 255, 255]


def test_grey_and_float_arrays() -> None:
    assert Image(np.full((2, 3), 0.5)).pixels[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize("array", [np.zeros(5), np.zeros((2, 2, 5)), np.zeros((0, 2)), np.zeros((2, 2), np.int64)])
def test_arrays_that_are_no_picture(array: np.ndarray) -> None:
    with pytest.raises(MediaError, match="give"):
        Image(array)


def test_bytes_that_are_no_picture() -> None:
    with pytest.raises(MediaError, match=r"is no picture \(11 bytes beginning 68 65 6c 6c"):
        Image(b"hello world")
    with pytest.raises(MediaError, match="empty"):
        Image(b"")


def test_truncated_picture(tmp_path: Path) -> None:
    noise = Image(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    path = tmp_path / "cut.png"
    path.write_bytes(noise.png[: len(noise.png) // 2])
    with pytest.raises(MediaError, match=r"cut\.png is a truncated or damaged picture"):
        Image(path)


@pytest.mark.parametrize("side", [6400, 10_000, 30_000])
def test_too_many_pixels_are_refused_before_decoding(side: int) -> None:
    with pytest.raises(MediaError, match=r"too large: .*40 megapixels"):
        Image(png_header(side, side))


def test_a_data_url_stays_within_its_bytes() -> None:
    noise = Image(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    assert Image(noise.data_url(100_000)) == noise
    assert noise.data_url(10_000).startswith("data:image/jpeg")
    with pytest.raises(MediaError, match=r"Image 64x64 has .* bytes as JPEG; 100 can be sent"):
        noise.data_url(100)


def test_blocks() -> None:
    halves = np.zeros((4, 4, 3), np.uint8)
    halves[:2] = (255, 0, 0)
    lines = Image(halves).blocks(4).split("\n")
    assert len(lines) == 2
    assert lines[0].count("▀") == 4
    assert "38;2;255;0;0" in lines[0]
    assert "255" not in lines[1]
    assert "\x1b" not in Image(halves).blocks(4, colour=False)


def test_a_picture_cannot_be_saved_as_text(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"\.txt; use \.png"):
        Image(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / "a.txt")


def test_show_without_any_way_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(MediaError, match="save it instead"):
        Image(np.zeros((2, 2, 3), np.uint8)).show()


def test_masked_cells_of_a_preview_are_fog() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[:] = (255, 0, 0)
    mask = np.zeros((2, 2), bool)
    mask[0, 1] = True
    preview = PreviewImage(Image(red).png, mask, np.zeros((2, 2), np.float32))
    assert preview.unmasked_ratio == 0.75
    fogged = preview.fogged(density=1.0).pixels
    assert fogged[0, 0].tolist() == [255, 0, 0]
    assert fogged[3, 4].tolist() == list(FOG)
    assert fogged[4, 7].tolist() == [255, 0, 0]
    assert preview.pixels[3, 4].tolist() == [255, 0, 0]


def test_a_part_and_two_beside_each_other() -> None:
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    picture = Image(pixels)
    assert np.array_equal(picture.cropped(1, 2, 3, 2).pixels, pixels[2:4, 1:4])
    assert picture.beside(Image(pixels[:2])).size == (6 + 12, 4)


@pytest.mark.parametrize("box", [(0, 0, 0, 1), (-1, 0, 2, 2), (5, 0, 2, 2), (0, 0, 6, 5)])
def test_a_part_that_lies_outside(box: tuple[int, int, int, int]) -> None:
    with pytest.raises(MediaError, match="it must lie in the picture of 6x4"):
        Image(np.zeros((4, 6, 3), np.uint8)).cropped(*box)
