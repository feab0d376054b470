"""Looser pictures of the world, so that reading rests on what a thing is, not on the pixels of one drawing of it.

A sprite is mirrored, turned, shrunk, and its colours moved; it stands a little elsewhere, on a shade of its background.
"""

import random

import numpy as np
from PIL import Image

from runtime.training.data.drawings import SINGLE_SIZE, Drawings, Pixels
from runtime.training.data.scenes import CANVAS, blank, paste, places, stand_out
from runtime.training.world import BACKGROUNDS, Scene

TURN_DEGREES = 14.0
SMALLEST = 0.75
SHADE = 14  # a background's channels move by at most so many levels
GAIN = 0.25  # and those of a sprite by this share


def varied(scene: Scene, drawings: Drawings, style: str, rng: random.Random) -> Pixels:
    """(80, 80, 3) uint8 RGB: the scene, never twice the same."""
    color = _shaded(BACKGROUNDS[scene.background], rng)
    picture = blank(color)
    for thing, (x, y, size) in zip(scene.things, places(scene), strict=True):
        sprite = changed(stand_out(drawings, thing, style, size, color), rng)
        _put(picture, sprite, x - 1, y - 1, 7 if size == SINGLE_SIZE else 2, rng)
    return picture


def one_of_many(sprite: Pixels, rng: random.Random) -> Pixels:
    """(80, 80, 3): a sprite, (64, 64, 4), alone on some background of the world, changed as the world's own are."""
    picture = blank(_shaded(rng.choice(list(BACKGROUNDS.values())), rng))
    margin = (CANVAS - len(sprite)) // 2
    _put(picture, changed(sprite, rng), margin, margin, 7, rng)
    return picture


def changed(sprite: Pixels, rng: random.Random) -> Pixels:
    """The sprite mirrored or not, turned, shrunk and in other colours; the same size, premultiplied as before."""
    drawn = Image.fromarray(sprite, "RGBa")
    if rng.random() < 0.5:
        drawn = drawn.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    angle, scale = rng.uniform(-TURN_DEGREES, TURN_DEGREES), rng.uniform(SMALLEST, 1.0)
    cosine, sine = np.cos(np.deg2rad(angle)) / scale, np.sin(np.deg2rad(angle)) / scale
    middle = len(sprite) / 2
    back = (cosine, sine, middle - (cosine + sine) * middle, -sine, cosine, middle - (cosine - sine) * middle)
    turned = np.array(drawn.transform(drawn.size, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR), np.float32)
    gains = rng.uniform(1 - GAIN, 1 + GAIN / 2) * np.array([rng.uniform(1 - GAIN / 2, 1 + GAIN / 2) for _ in range(3)])
    turned[..., :3] = np.minimum(turned[..., :3] * gains, turned[..., 3:])
    return turned.astype(np.uint8)


def _put(picture: Pixels, sprite: Pixels, x: int, y: int, reach: int, rng: random.Random) -> None:
    free = CANVAS - len(sprite)
    x, y = x + rng.randint(-reach, reach), y + rng.randint(-reach, reach)
    paste(picture, sprite, min(max(x, 0), free), min(max(y, 0), free))


def _shaded(color: tuple[int, int, int], rng: random.Random) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, level + rng.randint(-SHADE, SHADE))) for level in color)
    return red, green, blue
