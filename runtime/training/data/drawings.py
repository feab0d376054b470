"""Real drawings of the 64 things, from six emoji sets, as small pictures with transparency.

Run `python -m runtime.training.data.drawings` once; it fetches the pinned icon packages, renders every thing in
every style, and keeps one file in the cache. `load_drawings` reads it back.
"""

import argparse
import hashlib
import io
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from runtime.training.data.fetch import (
    EMOJIONE,
    FLUENT_FLAT,
    NOTO,
    NOTO_V1,
    OPENMOJI,
    TWEMOJI,
    cache_folder,
    file_of,
)
from runtime.training.world import THINGS

Pixels = npt.NDArray[np.uint8]

DRAWN_STYLE = "twemoji"  # what the model draws in
TRAINING_STYLES = ("twemoji", "fluent", "noto")  # what the model learns to read
UNSEEN_STYLE = "openmoji"  # for testing only: never trained on, never redistributed
MORE_STYLES = ("noto_v1", "emojione")  # read by the backbone as well; the tokenizer and the judge never saw them
STYLES = (*TRAINING_STYLES, UNSEEN_STYLE, *MORE_STYLES)

SINGLE_SIZE, CELL_SIZE = 64, 36  # a thing alone, a thing among others (px)
SIZES = (SINGLE_SIZE, CELL_SIZE)

RENDER_SIZE = 256  # rendered large, so that trimming and shrinking stay sharp
FILE_NAME = "drawings.npz"
FORMAT = 2  # raise when the rendering changes: an older file in the cache is then built anew

ICON_PACKAGES = {
    "twemoji": TWEMOJI, "fluent": FLUENT_FLAT, "noto": NOTO, "openmoji": OPENMOJI, "noto_v1": NOTO_V1,
    "emojione": EMOJIONE,
}  # fmt: skip


class DrawingsError(RuntimeError):
    """The drawings cannot be built or read; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Drawings:
    """Every thing in every style and size.

    `sprites[size]` has shape (things, styles, size, size, 4): RGBA, uint8, colours multiplied by alpha.
    """

    things: tuple[str, ...]
    styles: tuple[str, ...]
    sprites: Mapping[int, Pixels]

    def sprite(self, thing: str, style: str, size: int) -> Pixels:
        """One drawing, (size, size, 4) uint8, colours multiplied by alpha."""
        if thing not in self.things or style not in self.styles or size not in self.sprites:
            raise DrawingsError(
                f"no drawing of {thing!r} in style {style!r} at {size} px; "
                f"there are {len(self.things)} things, styles {self.styles}, sizes {tuple(self.sprites)}"
            )
        return np.asarray(self.sprites[size][self.things.index(thing), self.styles.index(style)])


def load_drawings(cache: Path | None = None) -> Drawings:
    """Read the drawings from the cache; raise DrawingsError when they were not built, or by an older recipe."""
    path = (cache or cache_folder()) / FILE_NAME
    command = f"python -m runtime.training.data.drawings --cache {path.parent}"
    if not path.is_file():
        raise DrawingsError(f"no drawings at {path}; build them with: {command}")
    with np.load(path) as stored:
        if str(stored["recipe"]) != recipe():
            raise DrawingsError(
                f"the drawings at {path} were built by another version; build them anew with: {command}"
            )
        sprites = {size: stored[f"sprites_{size}"] for size in SIZES}
        return Drawings(tuple(map(str, stored["things"])), tuple(map(str, stored["styles"])), sprites)


def build_drawings(cache: Path | None = None) -> Drawings:
    """Fetch, render and store all drawings, or load them if the cache has them already."""
    cache = cache or cache_folder()
    try:
        return load_drawings(cache)
    except DrawingsError:
        pass
    drawings = render_drawings(
        {style: file_of(package, "icons.json", cache) for style, package in ICON_PACKAGES.items()}
    )
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = cache / f"{FILE_NAME}.{os.getpid()}"
    with unfinished.open("wb") as file:
        arrays = {f"sprites_{size}": pixels for size, pixels in drawings.sprites.items()}
        np.savez_compressed(
            file,
            recipe=np.array(recipe()),
            things=np.array(drawings.things),
            styles=np.array(drawings.styles),
            **arrays,  # type: ignore[arg-type]
        )
    unfinished.replace(cache / FILE_NAME)  # whole or not at all, also when two builds race
    return drawings


def recipe() -> str:
    """Names everything the drawings depend on: what is built from them is stale when it changes."""
    packages = {style: package.sha256 for style, package in ICON_PACKAGES.items()}
    return hashlib.sha256(json.dumps([FORMAT, RENDER_SIZE, SIZES, packages, THINGS]).encode()).hexdigest()


def render_drawings(collections: Mapping[str, Path], things: Mapping[str, str] = THINGS) -> Drawings:
    """Render `things` (spoken name -> icon name) from icon collections (style -> its icons.json)."""
    sprites = {size: np.zeros((len(things), len(collections), size, size, 4), np.uint8) for size in SIZES}
    for column, collection in enumerate(collections.values()):
        vectors = read_icons(collection, tuple(things.values()))
        with ThreadPoolExecutor(max_workers=2) as pool:
            large = list(pool.map(render_svg, vectors))
        for row, pixels in enumerate(large):
            for size in SIZES:
                sprites[size][row, column] = fit(pixels, size)
    return Drawings(tuple(things), tuple(collections), sprites)


def read_icons(path: Path, names: tuple[str, ...]) -> list[str]:
    """The SVG documents of the icons called `names` (CLDR short names) in an iconify icons.json."""
    collection = json.loads(path.read_text(encoding="utf-8"))
    return [_svg(collection, name.replace(" ", "-"), path) for name in names]


def _svg(collection: dict[str, Any], slug: str, path: Path) -> str:
    aliases = collection.get("aliases", {})
    known = slug
    while known in aliases:
        known = aliases[known]["parent"]
    if known not in collection["icons"]:
        raise DrawingsError(f"{path} has no icon {slug!r}; correct the name in runtime.training.world.THINGS")
    icon = collection["icons"][known]
    box = [icon.get(key, collection.get(key, default)) for key, default in _VIEW_BOX]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{" ".join(map(str, box))}">{icon["body"]}</svg>'
    )


_VIEW_BOX = (("left", 0), ("top", 0), ("width", 16), ("height", 16))  # with the defaults of the icon format


def render_svg(svg: str, size: int = RENDER_SIZE) -> Pixels:
    """(size, size, 4) RGBA uint8, not multiplied by alpha. Needs the command rsvg-convert."""
    program = shutil.which("rsvg-convert")
    if program is None:
        raise DrawingsError("rsvg-convert was not found; install it (Debian: librsvg2-bin, Homebrew: librsvg)")
    command = [program, "--width", str(size), "--height", str(size)]
    done = subprocess.run(command, input=svg.encode(), capture_output=True, check=False)
    if done.returncode:
        raise DrawingsError(f"rsvg-convert failed on an icon: {done.stderr.decode(errors='replace').strip()}")
    return np.asarray(Image.open(io.BytesIO(done.stdout)).convert("RGBA"))


def fit(pixels: Pixels, size: int) -> Pixels:
    """Cut the empty border away and shrink, centred and undistorted, to (size, size, 4), multiplied by alpha."""
    rows, columns = (np.flatnonzero((pixels[..., 3] > 8).any(axis)) for axis in (1, 0))
    if not rows.size:
        raise DrawingsError("a rendered icon is empty; a feature of its SVG may be unknown to this rsvg-convert")
    left, top, right, bottom = (int(edge) for edge in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    trimmed = Image.fromarray(pixels).convert("RGBa").crop((left, top, right, bottom))
    scale = size / max(right - left, bottom - top)
    width, height = (max(1, round(length * scale)) for length in (right - left, bottom - top))
    small = np.frombuffer(trimmed.resize((width, height), Image.Resampling.BICUBIC).tobytes(), np.uint8)
    fitted = np.zeros((size, size, 4), np.uint8)
    y, x = (size - height) // 2, (size - width) // 2
    fitted[y : y + height, x : x + width] = small.reshape(height, width, 4)
    fitted[..., :3] = np.minimum(fitted[..., :3], fitted[..., 3:])  # bicubic overshoot
    return fitted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where the drawings are kept (%(default)s)")
    cache: Path = parser.parse_args().cache
    drawings = build_drawings(cache)
    print(f"{len(drawings.things)} things in {len(drawings.styles)} styles: {cache / FILE_NAME}")


if __name__ == "__main__":
    main()
