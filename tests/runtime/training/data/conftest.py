"""Drawings that need no icons."""

from itertools import product

import numpy as np
import pytest

from runtime.training.data.drawings import SIZES, STYLES, Drawings
from runtime.training.world import THINGS


@pytest.fixture(scope="module")
def drawings() -> Drawings:
    """Discs: each thing and style in a colour of its own."""
    sprites = {}
    for size in SIZES:
        y, x = np.mgrid[:size, :size]
        disc = (x - size / 2 + 0.5) ** 2 + (y - size / 2 + 0.5) ** 2 <= (size / 2) ** 2
        pixels = np.zeros((len(THINGS), len(STYLES), size, size, 4), np.uint8)
        for thing, style in product(range(len(THINGS)), range(len(STYLES))):
            pixels[thing, style][disc] = (thing * 4, 40 * style, 90, 255)
        sprites[size] = pixels
    return Drawings(tuple(THINGS), STYLES, sprites)
