"""The scenes of the training world as image codes, encoded once: `python -m runtime.training.pictures`."""

import itertools
import random
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from runtime.training.data.drawings import load_drawings
from runtime.training.data.fetch import cache_folder
from runtime.training.data.scenes import render
from runtime.training.image_tokenizer import load_image_tokenizer, to_pixels
from runtime.training.world import BACKGROUNDS, THINGS, Layout, Scene

DRAWN_STYLE = "twemoji"
READ_STYLES = ("twemoji", "fluent", "noto")
KINDS_OF_ONE_THING: tuple[tuple[Layout, int], ...] = (("single", 1), ("count", 2), ("count", 3), ("count", 4))
NUM_PAIRS = {"twemoji": 9000, "fluent": 2500, "noto": 2500}


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

    codes[style]: (number of scenes, 100) int16, row i for scenes[style][i].
    """

    def __init__(self, scenes: dict[str, list[Scene]], codes: dict[str, NDArray[np.int16]]) -> None:
        self.scenes, self.codes = scenes, codes
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


def build_pool(cache: Path) -> None:
    """Encode every scene of the pool."""
    drawings, tokenizer = load_drawings(cache), load_image_tokenizer(cache)
    arrays = {}
    for style in READ_STYLES:
        scenes, encoded = scenes_of(style), []
        for start in range(0, len(scenes), 64):
            pixels = to_pixels([render(scene, drawings, style) for scene in scenes[start : start + 64]])
            with torch.inference_mode():
                encoded.append(tokenizer.encode(pixels).flatten(1).to(torch.int16).numpy())
        arrays[style] = np.concatenate(encoded)
        print(f"{style}: {len(scenes)} scenes, {len(np.unique(arrays[style]))} codes in use", flush=True)
    np.savez(cache / "runs" / "pictures.npz", **arrays)  # type: ignore[arg-type]


def load_pool(cache: Path) -> ScenePool:
    with np.load(cache / "runs" / "pictures.npz") as arrays:
        return ScenePool({s: scenes_of(s) for s in READ_STYLES}, {s: arrays[s] for s in READ_STYLES})


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
def main(cache: Path) -> None:
    """Encode the training pictures."""
    torch.set_num_threads(1)
    build_pool(cache)


if __name__ == "__main__":
    main()
