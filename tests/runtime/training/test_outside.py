import random

from runtime.training.outside import BEYOND, OTHER_THINGS, SMALL_TALK, UNKNOWN, kept_for_tests, other_things, small_talk
from runtime.training.world import THINGS


def test_nothing_of_the_world_is_outside() -> None:
    assert not set(OTHER_THINGS) & set(THINGS)
    assert len(set(OTHER_THINGS)) == len(OTHER_THINGS)


def test_what_is_kept_for_tests_is_never_learnt() -> None:
    learnt, kept = other_things(), other_things(for_tests=True)
    assert not set(learnt) & set(kept)
    assert 0.1 < len(kept) / len(OTHER_THINGS) < 0.3
    rng = random.Random(0)
    assert not any(kept_for_tests(small_talk(rng)[0]) for _ in range(200))
    assert all(kept_for_tests(small_talk(rng, for_tests=True)[0]) for _ in range(200))


def test_small_talk_has_its_own_answer_and_the_rest_is_not_known() -> None:
    rng = random.Random(1)
    for _ in range(100):
        said, answer = small_talk(rng)
        assert (said in BEYOND and answer == UNKNOWN) or said in SMALL_TALK[answer]
