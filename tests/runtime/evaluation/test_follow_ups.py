import random

from runtime.evaluation.follow_ups import changes


def test_what_is_wanted_was_never_trained_on_and_differs_from_what_is_seen() -> None:
    for scene, said, wanted in changes(30, random.Random(0)):
        assert wanted.held_out
        assert not scene.held_out
        assert wanted != scene
        assert said
