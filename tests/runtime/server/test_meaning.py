from dataclasses import replace

import numpy as np
import pytest

from runtime.engine.request import ImagePart, SpeechPart, TextPart, Turn
from runtime.engine.rules import FollowUp, FollowUps, Wording
from runtime.server.meaning import meaning, pictures_in, written
from tests.support.live_server import MODEL

IMAGE = ImagePart(np.zeros((8, 8, 3), np.uint8))
SPEECH = SpeechPart(np.zeros(2400, np.int16), 24_000)
RULES = FollowUps((FollowUp("make it (two|three)", "draw an? (?P<noun>.+)", "draw {1} {many noun}"),), {"owl": "owls"})
CARD = replace(MODEL, follow_ups=RULES, wordings=(Wording("an? (.+), please", "draw a {1}"),))
DRAWN = [Turn("user", (TextPart("an owl, please"),)), Turn("assistant", (IMAGE,))]


def user(*parts: TextPart | ImagePart | SpeechPart) -> Turn:
    return Turn("user", parts)


@pytest.mark.parametrize("said", ["An owl, please", None])
def test_words_are_put_as_the_model_knows_them(said: str | None) -> None:
    turns, words = meaning(CARD, [user(IMAGE, TextPart("An owl, please"))], said, wishing=False)
    assert turns == [user(IMAGE, TextPart("draw a owl"))]
    assert words == (None if said is None else "draw a owl")


def test_what_was_heard_beside_them_stays() -> None:
    turns, words = meaning(CARD, [user(SPEECH, TextPart("an owl, please"))], "an ox, please", wishing=True)
    assert (turns, words) == ([user(SPEECH, TextPart("draw a owl"))], "an ox, please")


def test_a_wish_is_put_in_full_where_there_may_be_one() -> None:
    turns = [*DRAWN, user(TextPart("make it three"))]
    assert meaning(CARD, turns, "make it three", wishing=True) == (
        [*DRAWN, user(TextPart("draw three owls"))],
        "draw three owls",
    )
    assert meaning(CARD, turns, "make it three", wishing=False) == (turns, "make it three")
    assert meaning(CARD, turns, None, wishing=True) == (turns, None)
    assert meaning(MODEL, turns, "make it three", wishing=True) == (turns, "make it three")


def test_what_a_turn_holds() -> None:
    turn = user(TextPart("a"), IMAGE, SPEECH, TextPart("b"))
    assert written(turn) == "a b"
    assert pictures_in(turn) == [IMAGE]
