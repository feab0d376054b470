import io
import sys

import numpy as np
import pytest
from PIL import Image as PilImage

from omnisdk.errors import MediaError
from omnisdk.media import Image, PreviewImage, Speech
from omnisdk.media.plots import animation, filmstrip, levels_db, spectrogram

TONE = Speech(
    (np.sin(2 * np.pi * 2000 * np.arange(16000) / 16000) * 12000).astype(np.int16),
    sample_rate_hz=16000,
    transcript="beep",
)


def frames(count: int) -> list[Image]:
    png = Image(np.full((8, 8, 3), 200, np.uint8)).png
    masks = (np.arange(16).reshape(4, 4) >= 16 * index // max(count - 1, 1) for index in range(count))
    return [PreviewImage(png, mask, np.ones((4, 4), np.float32)) for mask in masks]


def test_a_spectrogram_is_brightest_at_its_tone() -> None:
    levels = levels_db(TONE)
    assert set(levels.argmax(axis=1)) == {50}  # 2 kHz, windows of 25 ms have a line each 40 Hz
    assert levels.max() == 0
    axes = spectrogram(TONE).axes[0]
    assert axes.get_title() == "beep"
    assert tuple(axes.get_images()[0].get_extent()) == (0.0, 1.0, 0.0, 8.0)


def test_a_short_silence_has_one_too() -> None:
    assert levels_db(Speech.said(np.zeros(10, np.int16), 16000)).shape == (1, 201)


def test_a_filmstrip_has_the_first_and_the_last() -> None:
    titles = [axes.get_title() for axes in filmstrip(frames(30)).axes]
    assert len(titles) == 12
    assert (titles[0], titles[-1]) == ("0%", "100%")


def test_an_animation_unmasks() -> None:
    film = PilImage.open(io.BytesIO(animation(frames(4))))
    assert (film.n_frames, film.size) == (4, (160, 160))  # type: ignore[attr-defined]
    film.seek(3)
    assert film.convert("RGB").getpixel((0, 0)) == (200, 200, 200)


def test_without_matplotlib_or_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MediaError, match="a filmstrip needs a picture; ask for"):
        filmstrip([])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MediaError, match=r'plots need the package matplotlib; pip install "omnisdk\[plots\]"'):
        spectrogram(TONE)
