import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.follow_ups import Nouns, in_full, with_article
from runtime.engine.rules import FollowUp, FollowUps
from runtime.training.phrasing import FOLLOW_UPS
from runtime.training.world import Scene, follow_up, random_scene, request_to_draw
from tests.support.embedded import embedded

CAT, GRAPES = "a cat on a white background", "grapes on an orange background"
FOXES, PAIR = "three foxes on a blue background", "an owl above a bus on a pink background"


@pytest.mark.parametrize(
    ("asked", "shown", "whole"),
    [
        ("make it three", CAT, "draw three cats on a white background"),
        ("Can you make it two, please?", f"{CAT}.", "draw two cats on a white background"),
        ("Now on green!", "Draw a cat on a white background, please.", "draw a cat on a green background"),
        ("an owl instead.", CAT, "draw an owl on a white background"),
        ("Please make it THREE", "Draw a butterfly on a red background", "draw three butterflies on a red background"),
        ("now one", FOXES, "draw a fox on a blue background"),
        ("i want two of them", GRAPES, "draw two grapes on an orange background"),
        ("and now on orange", PAIR, "draw an owl above a bus on an orange background"),
        ("change the background to green", CAT, "draw a cat on a green background"),
        ("make it pink", FOXES, "draw three foxes on a pink background"),
        ("a dog instead", CAT, "draw a dog on a white background"),
        ("now an owl", GRAPES, "draw an owl on an orange background"),
        ("make it grapes", CAT, "draw grapes on a white background"),
        ("show me cactuses instead", FOXES, "draw three cactuses on a blue background"),
        ("make it a palm tree", FOXES, "draw a palm tree on a blue background"),
    ],
)
def test_wishes_are_put_in_full(asked: str, shown: str, whole: str) -> None:
    assert in_full(FOLLOW_UPS, asked, shown) == whole


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("draw a cat on a red background", CAT),
        ("a dog above a cat on a red background", CAT),
        ("draw a cat", CAT),
        ("what is this?", CAT),
        ("thank you", CAT),
        ("now what", CAT),
        ("make it a unicorn", CAT),
        ("make it three", PAIR),
        ("make it a dog", PAIR),
        ("make it three", "good morning"),
        ("make it three", "a unicorn on a white background"),
        ("make it three", ""),
        ("", CAT),
    ],
)
def test_what_is_no_wish_or_whose_picture_is_not_known_stays_as_it_is(asked: str, shown: str) -> None:
    assert in_full(FOLLOW_UPS, asked, shown) is None


@given(st.integers(0, 10**6))
def test_every_wish_of_the_world_is_understood(seed: int) -> None:
    rng = random.Random(seed)
    scene = random_scene(rng)
    said, wanted = follow_up(scene, rng)
    assert in_full(FOLLOW_UPS, said, scene.caption) == f"draw {wanted.caption}"


@given(st.integers(0, 10**6))
def test_a_request_in_full_is_no_wish(seed: int) -> None:
    rng = random.Random(seed)
    before, scene = random_scene(rng), random_scene(rng)
    assert in_full(FOLLOW_UPS, request_to_draw(scene, rng), before.caption) is None


WORDS = ("make it", "now", "three", "one", "on", "green", "a", "cats", "cat", "of them", "instead", "background",
         "please", "draw", ".", "white", "above", "{1}", "\\", "\n")  # fmt: skip
SAID = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join) | st.text(max_size=60)


@given(SAID, SAID | st.sampled_from([CAT, GRAPES, FOXES, PAIR]))
def test_whatever_is_said_stays_or_becomes_a_request(asked: str, shown: str) -> None:
    request = in_full(FOLLOW_UPS, asked, shown)
    assert request is None or re.fullmatch(r"draw .+ on an? \w+ background", request, re.DOTALL)


def test_the_model_that_ships_has_the_rules() -> None:
    assert embedded().follow_ups == FOLLOW_UPS


def test_a_rule_that_lacks_a_noun_gives_way_to_the_next() -> None:
    rules = (FollowUp("(.+)", ".*", "many {many 1}"), FollowUp("(.+)", "(?P<rest>.*)", "{a 1} and {rest}"))
    assert in_full(FollowUps(rules, {"ox": "oxen"}), "ox", "x") == "many oxen"
    assert in_full(FollowUps(rules, {"ox": "oxen"}), "egg", "x") == "an egg and x"


def test_nouns_are_one_or_many() -> None:
    nouns = Nouns({"fish": "fish", "grapes": "grapes", "owl": "owls"})
    assert [nouns.one(noun) for noun in ("fish", "grapes", "owls", "owl", "cow")] == [
        "a fish", "grapes", "an owl", "an owl", None,
    ]  # fmt: skip
    assert [nouns.many(noun) for noun in ("fish", "grapes", "owls", "owl", "cow")] == [
        "fish", "grapes", "owls", "owls", None,
    ]  # fmt: skip
    assert with_article("egg") == "an egg"


def test_scenes_are_named_as_the_rules_expect() -> None:
    assert Scene("count", ("fox",) * 3, "blue").caption == FOXES
