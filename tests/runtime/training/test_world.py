import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.training.world import (
    BACKGROUNDS,
    THINGS,
    Scene,
    describe,
    parse_request,
    plural,
    questions,
    random_scene,
    request_to_draw,
    with_article,
)


@given(st.integers(0, 2**32), st.booleans())
def test_a_request_says_all_of_its_scene(seed: int, held_out: bool) -> None:
    rng = random.Random(seed)
    scene = random_scene(rng, held_out=held_out)
    assert scene.held_out is held_out
    assert parse_request(request_to_draw(scene, rng)) == scene
    assert parse_request(describe(scene, rng)) == scene


@pytest.mark.parametrize("text", ["what is this", "draw a flying saucer on a red background", "", "two cats"])
def test_what_is_no_request_of_the_world_is_no_scene(text: str) -> None:
    assert parse_request(text) is None


def test_about_fifteen_percent_are_held_out() -> None:
    scenes = [Scene("single", (thing,), background) for thing in THINGS for background in BACKGROUNDS]
    share = sum(scene.held_out for scene in scenes) / len(scenes)
    assert 0.1 < share < 0.2


def test_answers_fit_their_scene() -> None:
    scene = Scene("beside", ("cat", "dog"), "orange")
    answers = {question.text: question.answer for question in questions(scene, random.Random(0))}
    assert answers["what is to the left of the dog?"] == "cat"
    assert answers["what is to the right of the cat?"] == "dog"
    assert answers["how many things are there?"] == "two"
    assert "a cat to the left of a dog on an orange background" in answers.values()


def test_grammar() -> None:
    assert (plural("fox"), plural("dog"), with_article("apple"), with_article("grapes")) == (
        "foxes",
        "dogs",
        "an apple",
        "grapes",
    )
