import random

import numpy as np
import pytest

from runtime.training.data.scenes import CANVAS
from runtime.training.pictures import (
    DRAWN_KINDS,
    READ_STYLES,
    ScenePool,
    batched,
    loosely,
    noise_picture,
    scenes_of,
    varied_scenes,
)
from runtime.training.world import Scene


def test_no_held_out_scene_is_learnt_from() -> None:
    for style in READ_STYLES:
        scenes = scenes_of(style)
        assert not any(scene.held_out for scene in scenes)
        assert len(scenes) == len(set(scenes))
        assert {scene.layout for scene in scenes} == {"single", "count", "beside", "stacked"}


def test_nothing_held_out_is_read_in_looser_pictures_and_styles_differ() -> None:
    assert not any(scene.held_out for scene in varied_scenes("noto"))
    assert varied_scenes("noto") != varied_scenes("fluent")
    assert len({*READ_STYLES, *map(loosely, READ_STYLES)}) == 2 * len(READ_STYLES)


def test_kinds_come_as_often_as_is_asked_for() -> None:
    scenes = [Scene("single", ("cat",), "red"), Scene("count", ("cat",) * 2, "red"), Scene("beside", ("a", "b"), "red")]
    codes = np.zeros((3, 100), np.int16)
    pool, rng = ScenePool({"noto": scenes}, {"noto": codes}, codes, {}), random.Random(0)
    layouts = [pool.draw("noto", rng)[0].layout for _ in range(500)]
    assert layouts.count("beside") / 500 == pytest.approx(DRAWN_KINDS["pair"], abs=0.07)
    assert {pool.draw("noto", rng, {"single": 1.0})[0].layout for _ in range(20)} == {"single"}


def test_the_draw_of_scenes_is_always_the_same() -> None:
    assert scenes_of("noto") == scenes_of("noto")


def test_pool_gives_the_codes_of_its_scene() -> None:
    scenes = [
        Scene("single", ("cat",), "red"),
        Scene("count", ("cat", "cat"), "red"),
        Scene("stacked", ("cat", "dog"), "red"),
    ]
    codes = np.arange(3, dtype=np.int16)[:, None].repeat(100, 1)
    pool = ScenePool({"noto": scenes}, {"noto": codes}, codes + 5, {"red": codes[2]})
    rng = random.Random(0)
    for _ in range(20):
        scene, found = pool.draw("noto", rng)
        assert found.tolist() == [scenes.index(scene)] * 100
    assert set(pool.unknown(rng).tolist()) <= {5, 6, 7}
    assert pool.blank("red").tolist() == [2] * 100


def test_scenes_that_are_added_can_be_had_but_are_not_drawn_by_chance() -> None:
    scenes, codes = [Scene("beside", ("cat", "dog"), "red")], np.zeros((1, 100), np.int16)
    pool, rng = ScenePool({"noto": scenes}, {"noto": codes}, codes, {}), random.Random(0)
    more = [Scene("beside", ("dog", "cat"), "red"), Scene("stacked", ("sun", "key"), "blue")]
    pool.add("noto", more, np.array([[1] * 100, [2] * 100], np.int16))
    assert [pool.at("noto", pool.index["noto"][scene])[1][0].item() for scene in (*scenes, *more)] == [0, 1, 2]
    assert {pool.draw("noto", rng, {"pair": 1.0})[0] for _ in range(30)} == set(scenes)


def test_noise_has_a_grain_and_changes() -> None:
    rng = np.random.default_rng(0)
    first, second = noise_picture(rng), noise_picture(rng)
    assert first.shape == second.shape == (CANVAS, CANVAS, 3)
    assert first.dtype == np.uint8
    assert not np.array_equal(first, second)


def test_pictures_are_taken_in_batches_and_none_is_lost() -> None:
    pictures = [noise_picture(np.random.default_rng(i)) for i in range(5)]
    assert [len(batch) for batch in batched(pictures, 2)] == [2, 2, 1]
