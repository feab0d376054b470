"""Wishes about the last picture in a conversation with the embedded model, over a real websocket."""

from collections.abc import Iterator

import numpy as np
import pytest

from omnisdk import Client
from tests.support.embedded import serving_embedded


@pytest.fixture(scope="module")
def omni() -> Iterator[Client]:
    with serving_embedded() as url, Client(url) as client:
        yield client


def test_a_picture_is_changed_in_words(omni: Client) -> None:
    with omni.session(output=["image", "text"]) as session:
        told = []
        for said in ("draw a cat on a white background", "make it three", "and now on green", "an owl instead"):
            session.send(said)
            answer = session.respond().wait()
            assert answer.image is not None
            told.append((answer.text, np.median(answer.image.pixels[:6], (0, 1))))
    assert [text for text, _ in told] == [
        "a cat on a white background",
        "three cats on a white background",
        "three cats on a green background",
        "an owl on a green background",
    ]
    white, still_white, green, still_green = (ground for _, ground in told)
    assert np.abs(white - still_white).max() < 30 < np.abs(still_white - green).max()
    assert np.abs(green - still_green).max() < 30


def test_the_conversation_holds_what_was_said_not_what_was_made_of_it(omni: Client) -> None:
    with omni.session(output=["image", "text"]) as session:
        for said in ("draw a key on a pink background", "make it two"):
            session.send(said)
            session.respond().wait()
        written = [part.text for turn in session.conversation for part in turn.parts if hasattr(part, "text")]
    assert written == [
        "draw a key on a pink background",
        "a key on a pink background",
        "make it two",
        "two keys on a pink background",
    ]


def test_words_first_are_talked_with_and_drawn_for_when_asked(omni: Client) -> None:
    with omni.session(output=["text", "image"]) as session:
        told = []
        for said in ("hello", "draw a key on a pink background", "what colour is the background?", "make it two"):
            session.send(said)
            answer = session.respond().wait()
            told.append((answer.text, answer.image is not None))
    assert told == [
        ("hello", False),
        ("a key on a pink background", True),
        ("pink", False),
        ("two keys on a pink background", True),
    ]


def test_a_wish_that_no_picture_came_before_is_answered_as_it_stands(omni: Client) -> None:
    with omni.session(output=["image", "text"]) as session:
        session.send("make it three")
        assert session.respond().wait().status == "completed"
