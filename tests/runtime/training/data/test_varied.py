import random

import numpy as np

from runtime.training.data.drawings import SINGLE_SIZE, Drawings
from runtime.training.data.scenes import CANVAS, places
from runtime.training.data.varied import SHADE, changed, one_of_many, varied
from runtime.training.world import BACKGROUNDS, THINGS, Scene, random_scene


def test_the_same_scene_never_looks_the_same_and_stays_on_its_background(drawings: Drawings) -> None:
    rng, scene = random.Random(0), Scene("beside", ("dog", "sun"), "blue")
    first, second = (varied(scene, drawings, "noto", rng) for _ in range(2))
    assert first.shape == (CANVAS, CANVAS, 3)
    assert not np.array_equal(first, second)
    for picture in (first, second):
        assert np.abs(picture[0, 0].astype(int) - BACKGROUNDS["blue"]).max() <= SHADE


def test_every_thing_stays_in_its_place(drawings: Drawings) -> None:
    rng = random.Random(1)
    for _ in range(30):
        scene = random_scene(rng)
        picture = varied(scene, drawings, "twemoji", rng)
        for x, y, size in places(scene):
            middle = picture[y + size // 2 - 2 : y + size // 2 + 3, x + size // 2 - 2 : x + size // 2 + 3]
            assert np.abs(middle.astype(int) - picture[0, -1]).max() > SHADE  # something stands there


def test_a_changed_sprite_stays_premultiplied_and_about_as_large(drawings: Drawings) -> None:
    rng, sprite = random.Random(2), drawings.sprite(next(iter(THINGS)), "twemoji", SINGLE_SIZE)
    for _ in range(20):
        other = changed(sprite, rng)
        assert other.shape == sprite.shape
        assert (other[..., :3] <= other[..., 3:]).all()
        assert 0.5 < (other[..., 3] > 128).sum() / (sprite[..., 3] > 128).sum() < 1.1


def test_a_thing_of_another_world_stands_alone(drawings: Drawings) -> None:
    sprite = drawings.sprite("dog", "noto", SINGLE_SIZE)
    pictures = [one_of_many(sprite, random.Random(i)) for i in range(3)]
    assert all(picture.shape == (CANVAS, CANVAS, 3) for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 3
