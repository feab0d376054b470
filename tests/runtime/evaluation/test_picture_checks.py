from collections.abc import Sequence

import numpy as np
import pytest

from runtime.evaluation.picture_checks import background_of, count_objects, judge_pictures, object_crops, summarise
from runtime.training.data.drawings import Pixels
from runtime.training.data.scenes import blank, places
from runtime.training.world import BACKGROUNDS, Scene

COLORS = {"apple": (200, 20, 30), "pear": (20, 120, 30), "book": (20, 30, 120)}


def paint(scene: Scene) -> Pixels:
    picture = blank(BACKGROUNDS[scene.background])
    for thing, (x, y, size) in zip(scene.things, places(scene), strict=True):
        picture[y : y + size, x : x + size] = COLORS[thing]
    return picture


class ByColor:
    """Recognises a painted thing by the colour in the middle of the crop."""

    def recognise(self, crops: Sequence[Pixels]) -> list[str]:
        names = {color: thing for thing, color in COLORS.items()}
        return [names.get(tuple(map(int, crop[len(crop) // 2, len(crop) // 2])), "?") for crop in crops]


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_the_background_is_known_in_spite_of_noise(name: str) -> None:
    noise = np.random.default_rng(0).integers(-12, 13, (80, 80, 3))
    picture = (paint(Scene("count", ("apple",) * 4, name)).astype(int) + noise).clip(0, 255).astype(np.uint8)
    assert background_of(picture) == name


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_objects_are_counted(number: int) -> None:
    scene = Scene("single" if number == 1 else "count", ("pear",) * number, "white")
    assert count_objects(paint(scene)) == number


def test_splinters_are_not_counted_and_nothing_is_nothing() -> None:
    picture = paint(Scene("stacked", ("apple", "pear"), "yellow"))
    picture[70:73, 4:7] = (0, 0, 0)
    assert count_objects(picture) == 2
    assert count_objects(blank(BACKGROUNDS["yellow"])) == 0


def test_an_outlined_object_is_one_object() -> None:
    picture = blank((255, 255, 255))
    picture[20:60, 20:60] = (50, 50, 50)
    picture[21:59, 21:59] = (250, 250, 250)
    assert count_objects(picture) == 1


def test_crops_follow_the_order_of_things() -> None:
    scene = Scene("beside", ("apple", "book"), "gray")
    crops = object_crops(scene, paint(scene))
    assert [crop.shape for crop in crops] == [(40, 40, 3)] * 2
    assert ByColor().recognise(crops) == ["apple", "book"]
    (single,) = object_crops(Scene("single", ("pear",), "gray"), paint(Scene("single", ("pear",), "gray")))
    assert single.shape == (72, 72, 3)


def test_right_pictures_are_found_right_and_wrong_ones_wrong() -> None:
    wanted = [
        Scene("single", ("apple",), "white"),
        Scene("beside", ("apple", "pear"), "blue"),
        Scene("count", ("book",) * 3, "pink"),
    ]
    shown = [
        Scene("single", ("apple",), "white"),
        Scene("beside", ("pear", "apple"), "blue"),
        Scene("count", ("book",) * 2, "red"),
    ]
    right = judge_pictures(wanted, [paint(scene) for scene in wanted], ByColor())
    assert all(verdict.whole for verdict in right)
    assert set(summarise(right).values()) == {1.0}

    single, swapped, fewer = judge_pictures(wanted, [paint(scene) for scene in shown], ByColor())
    assert single.whole
    assert single.relation is None
    assert swapped.things == (False, False)
    assert swapped.relation is False
    assert swapped.background
    assert swapped.count
    assert not fewer.count
    assert not fewer.background
    shares = summarise([single, swapped, fewer])
    assert shares["whole"] == pytest.approx(1 / 3)
    assert shares["background"] == pytest.approx(2 / 3)
    assert shares["things_single"] == 1.0
    assert shares["relation"] == 0.0


def test_kinds_that_do_not_occur_are_left_out() -> None:
    scene = Scene("single", ("apple",), "white")
    assert "relation" not in summarise(judge_pictures([scene], [paint(scene)], ByColor()))
