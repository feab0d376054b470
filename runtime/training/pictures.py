"""The scenes of the training world as image codes, encoded once: `python -m runtime.training.pictures`.

With them go looser pictures of the same world to read (`runtime.training.data.varied`), pictures of what the model does
not know (other things, noise) and of nothing, one of each background.
"""

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from runtime.models.image_tokenizer import ImageTokenizer
from runtime.training.data.drawings import (
    ICON_PACKAGES,
    SINGLE_SIZE,
    TRAINING_STYLES,
    Pixels,
    fit,
    load_drawings,
    read_icons,
    render_svg,
)
from runtime.training.data.fetch import cache_folder, file_of
from runtime.training.data.scenes import CANVAS, blank, paste, render
from runtime.training.data.varied import one_of_many, varied
from runtime.training.image_tokenizer import load_image_tokenizer, to_pixels
from runtime.training.outside import other_things
from runtime.training.world import BACKGROUNDS, THINGS, Layout, Scene, random_scene

DRAWN_STYLE = "twemoji"
READ_STYLES = ("twemoji", "fluent", "noto", "noto_v1", "emojione")
BLANK, UNKNOWN = "blank", "unknown"  # names of pools beside those of the styles
UNKNOWN_STYLES = TRAINING_STYLES  # those that have a drawing of every other thing
NUM_NOISE = 300
NUM_VARIED = 8000  # looser pictures of each style
EACH_OTHER = 4  # pictures of another thing in each style
KINDS_OF_ONE_THING: tuple[tuple[Layout, int], ...] = (("single", 1), ("count", 2), ("count", 3), ("count", 4))
NUM_PAIRS = {"twemoji": 24_000} | dict.fromkeys(READ_STYLES[1:], 2500)
# How often one thing, several of one, two things are drawn and read: one thing is learnt long before two are.
DRAWN_KINDS = {"single": 0.15, "count": 0.2, "pair": 0.65}
READ_KINDS = {"single": 0.4, "count": 0.2, "pair": 0.4}


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


Drawn = tuple[Scene, torch.Tensor]


class ScenePool:
    """Encoded scenes by style, or by another name.

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

    def draw(self, style: str, rng: random.Random, kinds: Mapping[str, float] = DRAWN_KINDS) -> Drawn:
        """A scene and its codes, (100,) int64; how often of which kind, `kinds` says."""
        kind = rng.choices(list(kinds), list(kinds.values()))[0]
        return self.at(style, rng.choice(self._by_kind[style, kind]))

    def at(self, style: str, index: int) -> Drawn:
        return self.scenes[style][index], torch.from_numpy(self.codes[style][index].astype(np.int64))

    def add(self, style: str, scenes: Sequence[Scene], codes: NDArray[np.int16]) -> None:
        """Scenes that can be had by `at`, but are not drawn by chance."""
        self.index[style] |= {scene: len(self.scenes[style]) + i for i, scene in enumerate(scenes)}
        self.scenes[style] = [*self.scenes[style], *scenes]
        self.codes[style] = np.concatenate([self.codes[style], codes])

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
        for sprite in other_sprites(cache, names, style):
            for color in drawn.sample(list(BACKGROUNDS.values()), each):
                picture = blank(color)
                paste(picture, sprite, drawn.randint(0, CANVAS - SINGLE_SIZE), drawn.randint(0, CANVAS - SINGLE_SIZE))
                pictures.append(picture)
    return pictures


def other_sprites(cache: Path, names: Sequence[str], style: str) -> Iterator[Pixels]:
    """Things outside the world as sprites of a single thing."""
    icons = read_icons(file_of(ICON_PACKAGES[style], "icons.json", cache), tuple(names))
    return (fit(render_svg(icon), SINGLE_SIZE) for icon in icons)


def unknown_pictures(cache: Path) -> list[Pixels]:
    """What the model learns that it does not know: other things, then noise."""
    noise, rng = np.random.default_rng(11), random.Random(11)
    things = [
        one_of_many(sprite, rng)
        for style in UNKNOWN_STYLES
        for sprite in other_sprites(cache, other_things(), style)
        for _ in range(EACH_OTHER)
    ]
    return things + [noise_picture(noise) for _ in range(NUM_NOISE)]


def varied_scenes(style: str) -> list[Scene]:
    """What the looser pictures of a style show; the same scene may come again, it never looks the same."""
    rng = random.Random(f"varied {style}")
    return [random_scene(rng) for _ in range(NUM_VARIED)]


def loosely(style: str) -> str:
    """The name under which a style's looser pictures are kept."""
    return f"{style}, varied"


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
    """Encode every scene of the pool, style by style; what a former call has encoded is kept."""
    drawings, tokenizer = load_drawings(cache), load_image_tokenizer(cache)
    for style in READ_STYLES:
        _keep(cache, style, tokenizer, (render(scene, drawings, style) for scene in scenes_of(style)))
        rng = random.Random(style)
        looser = (varied(scene, drawings, style, rng) for scene in varied_scenes(style))
        _keep(cache, loosely(style), tokenizer, looser)
    _keep(cache, BLANK, tokenizer, map(blank, BACKGROUNDS.values()))
    _keep(cache, UNKNOWN, tokenizer, unknown_pictures(cache))


def _keep(cache: Path, name: str, tokenizer: ImageTokenizer, pictures: Iterable[Pixels]) -> None:
    path = _codes_of(cache, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        codes = encoded(tokenizer, pictures)
        unfinished = path.with_suffix(".new.npy")
        np.save(unfinished, codes)
        unfinished.replace(path)
        print(f"{name}: {len(codes)} pictures, {len(np.unique(codes))} codes in use", flush=True)


def _codes_of(cache: Path, name: str) -> Path:
    return cache / "runs" / "pictures" / f"{name}.npy"


def load_pool(cache: Path) -> ScenePool:
    scenes = {style: scenes_of(style) for style in READ_STYLES}
    scenes |= {loosely(style): varied_scenes(style) for style in READ_STYLES}
    return ScenePool(
        scenes,
        {name: np.load(_codes_of(cache, name)) for name in scenes},
        np.load(_codes_of(cache, UNKNOWN)),
        dict(zip(BACKGROUNDS, np.load(_codes_of(cache, BLANK)), strict=True)),
    )


def add_requested(pool: ScenePool, requested: Iterable[Scene], cache: Path) -> None:
    """Encode the scenes that somebody asks for in speech and the pool does not hold yet; held-out ones stay out."""
    known = pool.index[DRAWN_STYLE]
    missing = sorted({scene for scene in requested if not scene.held_out and scene not in known}, key=repr)
    if missing:
        drawings = load_drawings(cache)
        pictures = (render(scene, drawings, DRAWN_STYLE) for scene in missing)
        pool.add(DRAWN_STYLE, missing, encoded(load_image_tokenizer(cache), pictures))


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
def main(cache: Path) -> None:
    """Encode the training pictures."""
    torch.set_num_threads(1)
    build_pool(cache)


if __name__ == "__main__":
    main()
