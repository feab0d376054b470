"""Scenes as pictures: the world's things on a canvas of 80 x 80 px.

Every object's cell begins on the 8-px grid of the image tokens, so the same thing makes the same block of tokens
wherever it stands. That is worth more to a small model than cells that are centred to the pixel.
"""

import random
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from runtime.training.data.drawings import CELL_SIZE, SINGLE_SIZE, TRAINING_STYLES, Drawings, Pixels
from runtime.training.world import BACKGROUNDS, Scene, random_scene

Colors = npt.NDArray[np.float32]

CANVAS = 80
TRAINING_STYLE_WEIGHTS = {"twemoji": 0.6, "fluent": 0.2, "noto": 0.2}
assert tuple(TRAINING_STYLE_WEIGHTS) == TRAINING_STYLES

CELL = 40  # five tokens: a 36-px sprite and a margin of 2 px around it
_MIDDLE = 16  # a row or column of one cell starts here: on the token grid, 4 px from the true middle

# Top left corners (x, y) of the cells, in the order of Scene.things.
_BESIDE = ((0, _MIDDLE), (CELL, _MIDDLE))
_STACKED = ((_MIDDLE, 0), (_MIDDLE, CELL))
_COUNT = {
    2: _BESIDE,
    3: ((0, 0), (CELL, 0), (_MIDDLE, CELL)),
    4: ((0, 0), (CELL, 0), (0, CELL), (CELL, CELL)),
}

_OUTLINE_ALPHA = 0.85
_LOW_CONTRAST = 70.0  # colour distance (redmean) under which an edge is hard to see
_EDGE_SHARE = 0.3  # an outline is drawn if more than this share of the silhouette's edge is hard to see


def places(scene: Scene) -> list[tuple[int, int, int]]:
    """(x, y, size) of each object's sprite, in the order of `scene.things`, in px."""
    if scene.layout == "single":
        margin = (CANVAS - SINGLE_SIZE) // 2
        return [(margin, margin, SINGLE_SIZE)]
    cells = {"beside": _BESIDE, "stacked": _STACKED}.get(scene.layout) or _COUNT[len(scene.things)]
    margin = (CELL - CELL_SIZE) // 2
    return [(x + margin, y + margin, CELL_SIZE) for x, y in cells]


def render(scene: Scene, drawings: Drawings, style: str, *, jitter: random.Random | None = None) -> Pixels:
    """The picture of a scene, (80, 80, 3) uint8 RGB.

    The same arguments give the same pixels; with `jitter`, objects move by a few pixels without touching.
    """
    color = BACKGROUNDS[scene.background]
    picture = blank(color)
    for thing, (x, y, size) in zip(scene.things, places(scene), strict=True):
        if jitter is not None:
            reach = 6 if size == SINGLE_SIZE else 1
            x, y = x + jitter.randint(-reach, reach), y + jitter.randint(-reach, reach)
        tile = _tile(drawings, thing, style, size, color)
        picture[y - 1 : y + size + 1, x - 1 : x + size + 1] = tile
    return picture


def random_training_picture(rng: random.Random, drawings: Drawings) -> Pixels:
    """A picture to learn the image tokenizer from, (80, 80, 3) uint8: mostly scenes, some looser."""
    if rng.random() < 0.75:
        return render(random_scene(rng), drawings, random_training_style(rng))
    return _loose_picture(rng, drawings)


def random_training_style(rng: random.Random) -> str:
    """One of the training styles; the drawn style comes most often."""
    return rng.choices(list(TRAINING_STYLE_WEIGHTS), list(TRAINING_STYLE_WEIGHTS.values()))[0]


def blank(color: tuple[int, int, int]) -> Pixels:
    """An empty canvas, (80, 80, 3) uint8."""
    canvas = np.empty((CANVAS, CANVAS, 3), np.uint8)
    canvas[:] = color
    return canvas


def paste(picture: Pixels, sprite: Pixels, x: int, y: int) -> None:
    """Lay a premultiplied RGBA sprite over `picture`, in place."""
    height, width = sprite.shape[:2]
    under = picture[y : y + height, x : x + width].astype(np.uint16)
    over = under * (255 - sprite[..., 3:].astype(np.uint16)) // 255 + sprite[..., :3]
    picture[y : y + height, x : x + width] = np.minimum(over, 255)


def stand_out(drawings: Drawings, thing: str, style: str, size: int, color: tuple[int, int, int]) -> Pixels:
    """The sprite with one pixel more on each side, outlined if it would drown in a background of this colour."""
    framed = np.pad(drawings.sprite(thing, style, size), ((1, 1), (1, 1), (0, 0)))
    hidden = color_distance(_edge_colors(drawings, thing, style, size), np.array(color, np.float32)) < _LOW_CONTRAST
    return framed if hidden.mean() < _EDGE_SHARE else _outlined(framed, 225 if sum(color) < 300 else 50)


def _outlined(sprite: Pixels, shade: int) -> Pixels:
    """The sprite over its own silhouette, a pixel larger and of one gray."""
    alpha = sprite[..., 3].astype(np.float32) / 255
    silhouette = ndimage.grey_dilation(alpha, footprint=ndimage.generate_binary_structure(2, 1))
    visible = silhouette * _OUTLINE_ALPHA * (1 - alpha)
    outlined = sprite.astype(np.float32)
    outlined[..., :3] += visible[..., None] * shade
    outlined[..., 3] += visible * 255
    return np.asarray(outlined.round().clip(0, 255), np.uint8)


@lru_cache(maxsize=1024)
def _edge_colors(drawings: Drawings, thing: str, style: str, size: int) -> Colors:
    """The colours along the silhouette's edge, about two pixels wide, (pixels, 3)."""
    sprite = drawings.sprite(thing, style, size)
    solid = np.pad(sprite[..., 3] > 128, 1)
    edge = (solid & ~ndimage.binary_erosion(solid, iterations=2))[1:-1, 1:-1]
    pixels = sprite[edge].astype(np.float32)
    return np.asarray(pixels[:, :3] / pixels[:, 3:] * 255)


def color_distance(first: Colors, second: Colors) -> Colors:
    """How different colours look (the "redmean" approximation, 0 to about 765), over the last axis."""
    red = (first[..., 0] + second[..., 0]) / 2
    gap = (first - second) ** 2
    return np.asarray(np.sqrt((2 + red / 256) * gap[..., 0] + 4 * gap[..., 1] + (2 + (255 - red) / 256) * gap[..., 2]))


@lru_cache(maxsize=8192)
def _tile(drawings: Drawings, thing: str, style: str, size: int, color: tuple[int, int, int]) -> Pixels:
    """A sprite laid on its background, (size + 2, size + 2, 3): scenes are then copied together."""
    sprite = stand_out(drawings, thing, style, size, color)
    canvas = np.empty((size + 2, size + 2, 3), np.uint8)
    canvas[:] = color
    paste(canvas, sprite, 0, 0)
    canvas.setflags(write=False)
    return canvas


def _loose_picture(rng: random.Random, drawings: Drawings) -> Pixels:
    """Objects anywhere, perhaps overlapping, on any colour."""
    color = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    picture = blank(color)
    size = SINGLE_SIZE if rng.random() < 0.35 else CELL_SIZE
    for _ in range(1 if size == SINGLE_SIZE else rng.randint(1, 4)):
        sprite = stand_out(drawings, rng.choice(drawings.things), random_training_style(rng), size, color)
        free = CANVAS - len(sprite)
        paste(picture, sprite, rng.randint(0, free), rng.randint(0, free))
    return picture
