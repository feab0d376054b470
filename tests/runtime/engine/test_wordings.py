import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.follow_ups import in_full
from runtime.engine.wordings import in_known_words
from runtime.training.phrasing import FOLLOW_UPS, WORDINGS
from runtime.training.world import follow_up, questions, random_scene, request_to_draw
from tests.support.embedded import embedded


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("What's this?", "what is this?"),
        ("please, what is that", "what is this?"),
        ("Which animal is this?", "what is this?"),
        ("what is in the picture?", "what do you see?"),
        ("Describe this image.", "describe the picture"),
        ("What colour is the background?", "what color is the background?"),
        ("how many are there?", "how many things are there?"),
        ("Do you see an apple?", "is there an apple?"),
        ("is a cat in this photo?", "is there a cat?"),
        ("what's left of the palm tree", "what is to the left of the palm tree?"),
        ("what is on the right of the key?", "what is to the right of the key?"),
        ("what is underneath the sun", "what is below the sun?"),
        ("Could you draw me two cats, please?", "draw two cats"),
        ("create an image of a lion on a blue background", "draw a lion on a blue background"),
        ("I want a picture of a fish.", "draw a fish"),
        ("draw a picture of an owl", "draw an owl"),
    ],
)
def test_what_is_said_in_another_way(said: str, known: str) -> None:
    assert in_known_words(WORDINGS, said) == known


@pytest.mark.parametrize(
    "said", ["", "hello", "lights off in the hall", "what is the capital of france?", "can you help me", "i want tea"]
)
def test_what_is_meant_otherwise_stays(said: str) -> None:
    assert in_known_words(WORDINGS, said) is None


@given(st.integers(0, 10**6))
def test_what_it_was_taught_to_be_told_stays_that(seed: int) -> None:
    rng = random.Random(seed)
    scene = random_scene(rng)
    request = request_to_draw(scene, rng)
    assert (in_known_words(WORDINGS, request) or request).removeprefix("draw ") in request
    for question in questions(scene, rng):
        same = {question.text, question.text.replace("describe the picture", "what do you see?")}
        assert (in_known_words(WORDINGS, question.text) or question.text) in same


@given(st.integers(0, 10**6))
def test_a_wish_stays_a_wish(seed: int) -> None:
    rng = random.Random(seed)
    scene = random_scene(rng)
    said, wanted = follow_up(scene, rng)
    assert in_full(FOLLOW_UPS, in_known_words(WORDINGS, said) or said, scene.caption) == f"draw {wanted.caption}"


WORDS = ("what's", "what", "is", "this", "draw", "me", "a", "an", "picture", "of", "how many", "do you see", "the",
         "left", "can you", "please", ",", "?", "in", "cat", "[", "{1}", "\\", "\n")  # fmt: skip
KNOWN = ("what ", "describe the picture", "how many things are there?", "is there a", "draw ")


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=80))
def test_whatever_is_said_stays_or_is_something_it_knows(said: str) -> None:
    known = in_known_words(WORDINGS, said)
    assert known is None or known.startswith(KNOWN)


def test_the_model_that_ships_knows_them() -> None:
    assert embedded().wordings == WORDINGS
