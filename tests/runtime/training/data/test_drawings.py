import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from runtime.training.data import drawings
from runtime.training.data.drawings import DrawingsError, fit, load_drawings, read_icons, render_drawings, render_svg

COLLECTION = {
    "width": 20,
    "height": 20,
    "icons": {
        "red-apple": {"body": '<circle cx="10" cy="10" r="5" fill="#f00"/>'},
        "bus": {"body": '<rect x="2" y="8" width="16" height="4" fill="#00f"/>'},
    },
    "aliases": {"omnibus": {"parent": "bus"}},
}


@pytest.fixture
def icons(tmp_path: Path) -> Path:
    path = tmp_path / "icons.json"
    path.write_text(json.dumps(COLLECTION), encoding="utf-8")
    return path


needs_rsvg = pytest.mark.skipif(shutil.which("rsvg-convert") is None, reason="needs rsvg-convert")


def test_an_icon_is_found_by_its_spoken_form_or_alias(icons: Path) -> None:
    apple, bus = read_icons(icons, ("red apple", "omnibus"))
    assert "<circle" in apple
    assert 'viewBox="0 0 20 20"' in apple
    assert "<rect" in bus


def test_a_missing_icon_is_named(icons: Path) -> None:
    with pytest.raises(DrawingsError, match=r"no icon 'green-pear'.*THINGS"):
        read_icons(icons, ("green pear",))


def test_fit_trims_the_empty_border_and_keeps_the_shape() -> None:
    pixels = np.zeros((100, 100, 4), np.uint8)
    pixels[40:50, 10:50] = (200, 100, 50, 255)  # four times as wide as high, off centre
    fitted = fit(pixels, 36)
    rows, columns = np.flatnonzero(fitted[..., 3].any(1)), np.flatnonzero(fitted[..., 3].any(0))
    assert (columns[0], columns[-1]) == (0, 35)
    assert (rows[0], rows[-1]) == (13, 21)
    assert tuple(fitted[17, 17]) == (200, 100, 50, 255)


def test_fit_multiplies_colours_by_alpha() -> None:
    pixels = np.full((72, 72, 4), (200, 100, 50, 128), np.uint8)
    fitted = fit(pixels, 36)
    assert np.abs(fitted[18, 18].astype(int) - (100, 50, 25, 128)).max() <= 1
    assert (fitted[..., :3] <= fitted[..., 3:]).all()


def test_an_empty_icon_is_refused() -> None:
    with pytest.raises(DrawingsError, match="empty"):
        fit(np.zeros((16, 16, 4), np.uint8), 36)


@needs_rsvg
def test_icons_become_sprites_of_every_size(icons: Path) -> None:
    found = render_drawings({"plain": icons}, {"apple": "red apple", "bus": "bus"})
    for size in (64, 36):
        apple = found.sprite("apple", "plain", size)
        assert apple.shape == (size, size, 4)
        assert apple.dtype == np.uint8
        assert tuple(apple[size // 2, size // 2]) == (255, 0, 0, 255)
        assert tuple(apple[0, 0]) == (0, 0, 0, 0)
        assert apple[0, size // 2, 3] > 100, "the circle touches the edge of its box"
    with pytest.raises(DrawingsError, match="no drawing of 'pear'"):
        found.sprite("pear", "plain", 64)


@needs_rsvg
def test_a_broken_svg_is_refused() -> None:
    with pytest.raises(DrawingsError, match="rsvg-convert failed"):
        render_svg("<svg")


def test_without_rsvg_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DrawingsError, match="librsvg2-bin"):
        render_svg("<svg/>")


@needs_rsvg
def test_built_once_then_read_from_the_cache(icons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DrawingsError, match="build them with"):
        load_drawings(tmp_path / "cache")

    fetched = []

    def file_of(package: object, path: str, cache: Path) -> Path:
        fetched.append((package, path))
        return icons

    monkeypatch.setattr(drawings, "file_of", file_of)
    monkeypatch.setattr(drawings, "THINGS", {"apple": "red apple"})
    monkeypatch.setattr(drawings.render_drawings, "__defaults__", (drawings.THINGS,))
    built = drawings.build_drawings(tmp_path / "cache")
    assert len(fetched) == len(drawings.STYLES)
    again = drawings.build_drawings(tmp_path / "cache")
    assert len(fetched) == len(drawings.STYLES), "nothing is fetched twice"
    assert again.things == built.things == ("apple",)
    assert again.styles == drawings.STYLES
    assert np.array_equal(again.sprites[64], built.sprites[64])

    monkeypatch.setattr(drawings, "FORMAT", drawings.FORMAT + 1)
    with pytest.raises(DrawingsError, match="another version"):
        load_drawings(tmp_path / "cache")
