import random
import time

import numpy as np
import pytest

from runtime.training.data import scenes
from runtime.training.data.drawings import TRAINING_STYLES, Drawings
from runtime.training.data.scenes import (
    CANVAS,
    places,
    random_training_picture,
    random_training_style,
    render,
    stand_out,
)
from runtime.training.world import BACKGROUNDS, THINGS, Scene, random_scene

ALL_LAYOUTS = [
    Scene("single", ("dog",), "white"),
    Scene("count", ("dog",) * 2, "white"),
    Scene("count", ("dog",) * 3, "white"),
    Scene("count", ("dog",) * 4, "white"),
    Scene("beside", ("dog", "cat"), "white"),
    Scene("stacked", ("dog", "cat"), "white"),
]


@pytest.mark.parametrize("scene", ALL_LAYOUTS, ids=lambda scene: f"{scene.layout}{len(scene.things)}")
def test_objects_keep_apart_inside_the_canvas_and_on_one_phase_of_the_token_grid(scene: Scene) -> None:
    covered = np.zeros((CANVAS, CANVAS), int)
    for x, y, size in places(scene):
        assert all(start >= 1 and start + size <= CANVAS - 1 for start in (x, y)), "room for an outline"
        covered[y - 1 : y + size + 1, x - 1 : x + size + 1] += 1  # with its outline
        assert (x % 8, y % 8) == ((0, 0) if size == 64 else (2, 2))
    assert covered.max() == 1
    assert len(places(scene)) == len(scene.things)


def test_left_before_right_and_top_before_bottom(drawings: Drawings) -> None:
    dog, cat = ((list(THINGS).index(thing) * 4, 0, 90) for thing in ("dog", "cat"))
    beside = render(Scene("beside", ("dog", "cat"), "green"), drawings, "twemoji")
    stacked = render(Scene("stacked", ("dog", "cat"), "green"), drawings, "twemoji")
    assert tuple(beside[36, 20]) == tuple(stacked[20, 36]) == dog
    assert tuple(beside[36, 60]) == tuple(stacked[60, 36]) == cat


def test_the_picture_shows_things_background_and_style(drawings: Drawings) -> None:
    picture = render(Scene("single", ("cat",), "pink"), drawings, "noto")
    assert picture.shape == (80, 80, 3)
    assert picture.dtype == np.uint8
    assert tuple(picture[0, 0]) == BACKGROUNDS["pink"]
    assert tuple(picture[40, 40]) == (list(THINGS).index("cat") * 4, 80, 90)


def test_the_same_thing_makes_the_same_pixels_in_every_cell(drawings: Drawings) -> None:
    picture = render(Scene("count", ("owl",) * 4, "blue"), drawings, "twemoji")
    first = picture[:40, :40]
    assert all(np.array_equal(first, picture[y : y + 40, x : x + 40]) for x, y in ((40, 0), (0, 40), (40, 40)))


def test_only_jitter_moves_things_and_never_out_of_sight(drawings: Drawings) -> None:
    scene = Scene("count", ("owl",) * 4, "blue")
    still = render(scene, drawings, "twemoji")
    assert np.array_equal(still, render(scene, drawings, "twemoji"))
    moved = [render(scene, drawings, "twemoji", jitter=random.Random(seed)) for seed in range(20)]
    assert any(not np.array_equal(still, picture) for picture in moved)
    ink = (still != BACKGROUNDS["blue"]).any(-1).sum()
    assert all((picture != BACKGROUNDS["blue"]).any(-1).sum() == ink for picture in moved)


def test_a_thing_that_would_drown_gets_an_outline(drawings: Drawings) -> None:
    own_color = (0, 0, 90)  # the first thing's, in the first style
    drowned = stand_out(drawings, "dog", "twemoji", 36, own_color)
    clear = stand_out(drawings, "dog", "twemoji", 36, (255, 255, 255))
    assert drowned.shape == clear.shape == (38, 38, 4)
    assert drowned[0, 19].min() > 150, "a light line on a dark background"
    assert clear[0].max() == 0
    assert np.array_equal(drowned[19, 19], clear[19, 19])


def test_training_pictures_never_show_the_unseen_style(drawings: Drawings) -> None:
    rng = random.Random(0)
    chosen = [random_training_style(rng) for _ in range(2000)]
    assert set(chosen) == set(TRAINING_STYLES)
    assert 0.55 < chosen.count("twemoji") / len(chosen) < 0.65


def test_training_pictures_are_reproducible_and_vary(drawings: Drawings) -> None:
    first, again = ([random_training_picture(random.Random(seed), drawings) for seed in range(60)] for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert all(picture.shape == (80, 80, 3) and picture.dtype == np.uint8 for picture in first)
    named = sum(tuple(picture[0, 0]) in BACKGROUNDS.values() for picture in first)
    assert 30 <= named < 60, "most have a named background, some any colour"


def test_rendering_is_quick(drawings: Drawings) -> None:
    rng = random.Random(0)
    wanted = [random_scene(rng) for _ in range(300)]
    for scene in wanted:  # fills the cache of tiles
        render(scene, drawings, "twemoji")
    start = time.process_time()
    for scene in wanted:
        render(scene, drawings, "twemoji")
    assert (time.process_time() - start) / len(wanted) < 0.001


def test_color_distance_knows_its_ends() -> None:
    black, white = np.zeros(3, np.float32), np.full(3, 255, np.float32)
    assert scenes.color_distance(black, black) == 0
    assert 700 < scenes.color_distance(black, white) < 800
