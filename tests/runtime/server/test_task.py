from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputText, Message, Role
from omnisdk.protocol.settings import DEFAULT_OMNI, OmniSettings, OutputModality, merged
from runtime.engine.request import ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.server.task import choose_task, turns_of
from tests.support.live_server import MODEL

TEXT = TextPart("a red ball")
SPEECH = SpeechPart(np.zeros(2400, np.int16), 24_000)
IMAGE = ImagePart(np.zeros((8, 8, 3), np.uint8))
BOTH: list[OutputModality] = ["image", "text"]


def user(*parts: Part) -> Turn:
    return Turn("user", parts)


def asking(output: Sequence[OutputModality] = BOTH, **others: int) -> OmniSettings:
    return merged(DEFAULT_OMNI, OmniSettings(output=list(output), **others))


@pytest.mark.parametrize(
    ("turns", "output", "recipe"),
    [
        ([user(TEXT)], BOTH, "text_to_image"),
        ([user(SPEECH)], BOTH, "speech_to_image"),
        ([user(SPEECH)], ["text"], "speech_to_text"),
        ([user(SPEECH, TEXT)], BOTH, "speech_to_image"),
        ([user(IMAGE, TEXT)], BOTH, "image_to_text"),
        ([user(IMAGE)], ["text"], "image_to_text"),
        ([user(SPEECH, IMAGE)], BOTH, "speech_and_image_to_text"),
        ([user(TEXT), Turn("assistant", (IMAGE,)), user(TEXT)], ["text"], "image_to_text"),
        ([user(IMAGE), Turn("assistant", (TEXT,)), user(SPEECH)], ["text"], "speech_and_image_to_text"),
        ([user(TEXT), Turn("assistant", (IMAGE,)), user(TEXT)], BOTH, "text_to_image"),
        ([user(TEXT)], ["text"], "text_to_image"),
    ],
)
def test_the_recipe_is_chosen_by_what_is_said_and_wanted(
    turns: list[Turn], output: list[OutputModality], recipe: str
) -> None:
    assert choose_task(MODEL, turns, asking(output))[0].name == recipe


def test_a_picture_alone_leaves_the_reply_out() -> None:
    recipe, _ = choose_task(MODEL, [user(SPEECH)], asking(["image"]))
    assert [slot.name for slot in recipe.slots] == ["transcript", "image"]


def test_a_picture_of_a_picture_is_refused() -> None:
    with pytest.raises(ProtocolError, match="cannot answer a turn of an image and text with image alone") as caught:
        choose_task(MODEL, [user(IMAGE, TEXT)], asking(["image"]))
    assert (caught.value.code, caught.value.param) == (errors.UNSUPPORTED_VALUE, "response.omni.output")


def test_a_model_without_the_recipe() -> None:
    card = replace(MODEL, recipes={"text_to_image": MODEL.recipes["text_to_image"]})
    with pytest.raises(ProtocolError, match="it can do text_to_image"):
        choose_task(card, [user(SPEECH)], asking())


def test_steps_are_those_of_the_picture() -> None:
    recipe, _ = choose_task(MODEL, [user(SPEECH)], asking(steps=33))
    before = {slot.name: slot.steps for slot in MODEL.recipes["speech_to_image"].slots}
    assert {slot.name: slot.steps for slot in recipe.slots} == {**before, "image": 33}


def test_only_the_last_turns_are_read_where_the_model_knows_no_more() -> None:
    turns = [user(TEXT), Turn("assistant", (IMAGE,)), user(TextPart("now blue"))]
    assert choose_task(MODEL, turns, asking())[1] == tuple(turns)
    assert choose_task(replace(MODEL, max_turns=1), turns, asking())[1] == (turns[-1],)


def test_the_picture_asked_about_comes_along() -> None:
    turns = [user(TEXT), Turn("assistant", (IMAGE,)), user(TEXT)]
    _, read = choose_task(replace(MODEL, max_turns=1), turns, asking(["text"]))
    assert read == (user(IMAGE, TEXT),)


def test_pictures_are_read_first_whatever_the_client_sent_first() -> None:
    _, read = choose_task(MODEL, [user(TEXT, IMAGE)], asking(["text"]))
    assert read == (user(IMAGE, TEXT),)


def item(role: Role, name: str) -> Message:
    return Message(role=role, content=[InputText(text=name)], id=name)


def test_items_of_one_side_are_one_turn() -> None:
    items = [item("user", "a"), item("assistant", "b"), item("user", "c"), item("user", "d"), item("assistant", "e")]
    parts: dict[str, tuple[Part, ...]] = {name: (TextPart(name),) for name in "abcde"}
    turns = turns_of(items, parts)
    assert [turn.role for turn in turns] == ["user", "assistant", "user"]
    assert turns[-1].parts == (TextPart("c"), TextPart("d"))


def test_nothing_to_answer() -> None:
    with pytest.raises(ProtocolError, match="no user item") as caught:
        turns_of([item("system", "a")], {"a": (TEXT,)})
    assert caught.value.code == errors.NOTHING_TO_ANSWER
