"""The scenes of the training world as image codes, encoded once: `python -m runtime.training.pictures`.

With them go pictures of what the model does not know (other things, noise) and of nothing, one of each background.
"""

import itertools
import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from runtime.models.image_tokenizer import ImageTokenizer
from runtime.training.data.drawings import (
    ICON_PACKAGES,
    SINGLE_SIZE,
    Pixels,
    fit,
    load_drawings,
    read_icons,
    render_svg,
)
from runtime.training.data.fetch import cache_folder, file_of
from runtime.training.data.scenes import CANVAS, blank, paste, render
from runtime.training.image_tokenizer import load_image_tokenizer, to_pixels
from runtime.training.outside import other_things
from runtime.training.world import BACKGROUNDS, THINGS, Layout, Scene

DRAWN_STYLE = "twemoji"
READ_STYLES = ("twemoji", "fluent", "noto", "noto_v1", "emojione")
UNKNOWN_STYLES = ("twemoji", "noto")  # other things are drawn in
NUM_NOISE = 300
KINDS_OF_ONE_THING: tuple[tuple[Layout, int], ...] = (("single", 1), ("count", 2), ("count", 3), ("count", 4))
NUM_PAIRS = {"twemoji": 9000} | dict.fromkeys(READ_STYLES[1:], 2500)


def scenes_of(style: str) -> list[Scene]:
    """All training scenes of one kind of thing and a fixed draw of the pairs."""
    scenes = [
        Scene(layout, (thing,) * count, background)
        for thing, background in itertools.product(THINGS, BACKGROUNDS)
        for layout, count in KINDS_OF_ONE_THING
    ]
    rng = random.Random(style)
    layouts: tuple[Layout, ...] = ("beside", "stacked")
    for _ in range(NUM_PAIRS[style]):
        first, second = rng.sample(list(THINGS), 2)
        scenes.append(Scene(rng.choice(layouts), (first, second), rng.choice(list(BACKGROUNDS))))
    return sorted({scene for scene in scenes if not scene.held_out}, key=repr)


class ScenePool:
    """Encoded scenes by style.

    codes[style]: (number of scenes, 100) int16, row i for scenes[style][i]. unknown: (n, 100), pictures of other things
    and of noise. blank: (100,) by background.
    """

    def __init__(
        self,
        scenes: dict[str, list[Scene]],
        codes: dict[str, NDArray[np.int16]],
        unknown: NDArray[np.int16],
        blank: dict[str, NDArray[np.int16]],
    ) -> None:
        self.scenes, self.codes, self._unknown, self._blank = scenes, codes, unknown, blank
        self.index = {style: {scene: i for i, scene in enumerate(found)} for style, found in scenes.items()}
        self._by_kind: dict[tuple[str, str], list[int]] = {}
        for style, found in scenes.items():
            for i, scene in enumerate(found):
                kind = "pair" if scene.layout in ("beside", "stacked") else scene.layout
                self._by_kind.setdefault((style, kind), []).append(i)

    def draw(self, style: str, rng: random.Random) -> tuple[Scene, torch.Tensor]:
        """A scene, several things more often than the world shows them, and its codes (100,) int64."""
        kind = rng.choices(("single", "count", "pair"), (0.4, 0.25, 0.35))[0]
        return self.at(style, rng.choice(self._by_kind[style, kind]))

    def at(self, style: str, index: int) -> tuple[Scene, torch.Tensor]:
        return self.scenes[style][index], torch.from_numpy(self.codes[style][index].astype(np.int64))

    def unknown(self, rng: random.Random) -> torch.Tensor:
        return torch.from_numpy(self._unknown[rng.randrange(len(self._unknown))].astype(np.int64))

    def blank(self, background: str) -> torch.Tensor:
        return torch.from_numpy(self._blank[background].astype(np.int64))


def noise_picture(rng: np.random.Generator) -> Pixels:
    """Grain of any size in any colours, (80, 80, 3)."""
    grain = int(rng.choice((1, 2, 4, 8, 16)))
    side = CANVAS // grain
    low, high = np.sort(rng.integers(0, 256, 2))
    coarse = rng.integers(low, high + 1, (side, side, int(rng.choice((1, 3)))), np.uint8)
    return np.broadcast_to(coarse.repeat(grain, 0).repeat(grain, 1), (CANVAS, CANVAS, 3))


def other_pictures(cache: Path, names: Sequence[str], styles: Sequence[str], each: int) -> list[Pixels]:
    """Things outside the world, alone, `each` times in every style on backgrounds of the world."""
    drawn, pictures = random.Random(11), []
    for style in styles:
        icons = read_icons(file_of(ICON_PACKAGES[style], "icons.json", cache), tuple(names))
        for sprite in (fit(render_svg(icon), SINGLE_SIZE) for icon in icons):
            for color in drawn.sample(list(BACKGROUNDS.values()), each):
                picture = blank(color)
                paste(picture, sprite, drawn.randint(0, CANVAS - SINGLE_SIZE), drawn.randint(0, CANVAS - SINGLE_SIZE))
                pictures.append(picture)
    return pictures


def unknown_pictures(cache: Path) -> list[Pixels]:
    """What the model learns that it does not know: other things, then noise."""
    noise = np.random.default_rng(11)
    things = other_pictures(cache, other_things(), UNKNOWN_STYLES, each=3)
    return things + [noise_picture(noise) for _ in range(NUM_NOISE)]


def encoded(tokenizer: ImageTokenizer, pictures: Iterable[Pixels]) -> NDArray[np.int16]:
    """(pictures, 100)"""
    parts = []
    for batch in batched(pictures, 64):
        with torch.inference_mode():
            parts.append(tokenizer.encode(to_pixels(batch)).flatten(1).to(torch.int16).numpy())
    return np.concatenate(parts)


def batched(pictures: Iterable[Pixels], size: int) -> Iterator[list[Pixels]]:
    source = iter(pictures)
    while batch := list(itertools.islice(source, size)):
        yield batch


def build_pool(cache: Path) -> None:
    """Encode every scene of the pool."""
    drawings, tokenizer = load_drawings(cache), load_image_tokenizer(cache)
    arrays = {}
    for style in READ_STYLES:
        scenes = scenes_of(style)
        arrays[style] = encoded(tokenizer, (render(scene, drawings, style) for scene in scenes))
        print(f"{style}: {len(scenes)} scenes, {len(np.unique(arrays[style]))} codes in use", flush=True)
    arrays["blank"] = encoded(tokenizer, map(blank, BACKGROUNDS.values()))
    arrays["unknown"] = encoded(tokenizer, unknown_pictures(cache))
    np.savez(cache / "runs" / "pictures.npz", **arrays)  # type: ignore[arg-type]


def load_pool(cache: Path) -> ScenePool:
    with np.load(cache / "runs" / "pictures.npz") as arrays:
        return ScenePool(
            {style: scenes_of(style) for style in READ_STYLES},
            {style: arrays[style] for style in READ_STYLES},
            arrays["unknown"],
            dict(zip(BACKGROUNDS, arrays["blank"], strict=True)),
        )


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
def main(cache: Path) -> None:
    """Encode the training pictures."""
    torch.set_num_threads(1)
    build_pool(cache)


if __name__ == "__main__":
    main()
