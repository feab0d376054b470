"""Wishes about the last picture in a conversation with the embedded model, over a real websocket."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from omnisdk import Client
from omnisdk.protocol.settings import OutputModality
from omnisdk.response import Response
from tests.support.embedded import serving_embedded


@pytest.fixture(scope="module")
def omni() -> Iterator[Client]:
    with serving_embedded() as url, Client(url) as client:
        yield client


def answers(omni: Client, output: Sequence[OutputModality], *lines: str) -> list[Response]:
    """Of one session."""
    with omni.session(output=output) as session:
        return [session.ask(line) for line in lines]


def test_a_picture_is_changed_in_words(omni: Client) -> None:
    lines = ("draw a cat on a white background", "make it three", "and now on green", "an owl instead")
    told = answers(omni, ["image", "text"], *lines)
    assert [answer.text for answer in told] == [
        "a cat on a white background",
        "three cats on a white background",
        "three cats on a green background",
        "an owl on a green background",
    ]
    pictures = [answer.image for answer in told if answer.image is not None]
    white, still_white, green, still_green = (np.median(picture.pixels[:6], (0, 1)) for picture in pictures)
    assert np.abs(white - still_white).max() < 30 < np.abs(still_white - green).max()
    assert np.abs(green - still_green).max() < 30


def test_the_conversation_holds_what_was_said_not_what_was_made_of_it(omni: Client) -> None:
    with omni.session(output=["image", "text"]) as session:
        for said in ("draw a key on a pink background", "make it two"):
            session.ask(said)
        written = [part.text for turn in session.conversation for part in turn.parts if hasattr(part, "text")]
    assert written == [
        "draw a key on a pink background",
        "a key on a pink background",
        "make it two",
        "two keys on a pink background",
    ]


def test_words_first_are_talked_with_and_drawn_for_when_asked(omni: Client) -> None:
    lines = ("hello", "draw a key on a pink background", "what colour is the background?", "make it two")
    told = answers(omni, ["text", "image"], *lines)
    assert [(answer.text, answer.image is not None) for answer in told] == [
        ("hello", False),
        ("a key on a pink background", True),
        ("pink", False),
        ("two keys on a pink background", True),
    ]


def test_a_wish_that_no_picture_came_before_is_answered_as_it_stands(omni: Client) -> None:
    (answer,) = answers(omni, ["image", "text"], "make it three")
    assert answer.status == "completed"
