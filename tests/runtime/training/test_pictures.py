import random

import numpy as np

from runtime.training.pictures import READ_STYLES, ScenePool, scenes_of
from runtime.training.world import Scene


def test_no_held_out_scene_is_learnt_from() -> None:
    for style in READ_STYLES:
        scenes = scenes_of(style)
        assert not any(scene.held_out for scene in scenes)
        assert len(scenes) == len(set(scenes))
        assert {scene.layout for scene in scenes} == {"single", "count", "beside", "stacked"}


def test_the_draw_of_scenes_is_always_the_same() -> None:
    assert scenes_of("noto") == scenes_of("noto")


def test_pool_gives_the_codes_of_its_scene() -> None:
    scenes = [
        Scene("single", ("cat",), "red"),
        Scene("count", ("cat", "cat"), "red"),
        Scene("stacked", ("cat", "dog"), "red"),
    ]
    codes = np.arange(3, dtype=np.int16)[:, None].repeat(100, 1)
    pool = ScenePool({"noto": scenes}, {"noto": codes})
    rng = random.Random(0)
    for _ in range(20):
        scene, found = pool.draw("noto", rng)
        assert found.tolist() == [scenes.index(scene)] * 100
