from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputText, Message, Role
from omnisdk.protocol.settings import DEFAULT_OMNI, OmniSettings, OutputModality, merged
from runtime.engine.recipe import SPEAKING_RECIPES
from runtime.engine.request import ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.engine.rules import FollowUp, FollowUps, Wording
from runtime.server.model_card import ModelCard
from runtime.server.task import Choice, choose_task, turns_of
from tests.support.live_server import MODEL, SPEAKING_MODEL

TALKING_MODEL = replace(MODEL, recipes=SPEAKING_RECIPES)
TEXT = TextPart("a red ball")
SPEECH = SpeechPart(np.zeros(2400, np.int16), 24_000)
IMAGE = ImagePart(np.zeros((8, 8, 3), np.uint8))
BOTH: list[OutputModality] = ["image", "text"]


def user(*parts: Part) -> Turn:
    return Turn("user", parts)


def asking(output: Sequence[OutputModality] = BOTH, recipe: str | None = None) -> OmniSettings:
    return merged(DEFAULT_OMNI, OmniSettings(output=list(output), recipe=recipe))


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
@pytest.mark.parametrize("turned", [False, True])
def test_the_recipe_is_chosen_by_what_is_said_and_wanted(
    turns: list[Turn], output: list[OutputModality], recipe: str, turned: bool
) -> None:
    assert choose_task(MODEL, turns, asking(output[::-1] if turned else output)).recipe.name == recipe


SPOKEN: list[OutputModality] = ["speech", "text"]


@pytest.mark.parametrize(
    ("turns", "output", "recipe", "slots", "outputs"),
    [
        ([user(TEXT)], SPOKEN, "text_to_speech", ["speech"], {"speech"}),
        ([user(SPEECH)], SPOKEN, "speech_to_speech", ["text", "speech"], {"speech", "text"}),
        ([user(SPEECH)], ["speech"], "speech_to_speech", ["text", "speech"], {"speech"}),
        ([user(SPEECH)], ["text"], "speech_to_text", ["transcript"], {"text"}),
        ([user(SPEECH)], ["image", "text"], "speech_to_image", ["image"], {"image"}),
        ([user(SPEECH)], ["text", "image"], "speech_to_text", ["transcript"], {"text"}),
        ([user(SPEECH, IMAGE)], SPOKEN, "speech_and_image_to_speech", ["text", "speech"], {"speech", "text"}),
        ([user(SPEECH, IMAGE)], ["text"], "speech_and_image_to_speech", ["text"], {"text"}),
        ([user(IMAGE, TEXT)], ["text"], "image_to_text", ["text"], {"text"}),
        ([user(IMAGE)], SPOKEN, "image_to_text", ["text"], {"text"}),
        ([user(TEXT)], BOTH, "text_to_image", ["image"], {"image"}),
        ([user(IMAGE), Turn("assistant", (TEXT,)), user(TEXT)], SPOKEN, "image_to_text", ["text"], {"text"}),
        ([user(IMAGE), Turn("assistant", (TEXT,)), user(TEXT)], ["speech"], "text_to_speech", ["speech"], {"speech"}),
        ([user(IMAGE), Turn("assistant", (TEXT,)), user(SPEECH)], SPOKEN, "speech_and_image_to_speech",
         ["text", "speech"], {"speech", "text"}),
    ],
)  # fmt: skip
def test_a_model_that_speaks(
    turns: list[Turn], output: list[OutputModality], recipe: str, slots: list[str], outputs: set[str]
) -> None:
    task = choose_task(SPEAKING_MODEL, turns, asking(output))
    assert task.recipe.name == recipe
    assert [slot.name for slot in task.recipe.slots] == slots
    assert task.outputs == outputs


SHOWN_BEFORE = [user(IMAGE, TEXT), Turn("assistant", (TEXT,))]


@pytest.mark.parametrize(
    ("said", "output", "recipe"),
    [
        ("what is this?", SPOKEN, "image_to_speech"),
        ("a red cat on the left of a dog", SPOKEN, "text_to_text_and_speech"),
        ("good morning", SPOKEN, "text_to_text_and_speech"),
        ("draw a dog", ["text"], "text_to_text"),
        ("what is this?", ["text", "image"], "image_to_text"),
        ("good morning", ["text", "image"], "text_to_text"),
        ("good morning", BOTH, "text_to_image"),
        ("two owls on the left of a key", ["text", "image"], "text_to_image"),
        ("draw a dog", ["text", "image"], "text_to_image"),
        ("what is this?", BOTH, "text_to_image"),  # where a picture counts most, it is drawn
    ],
)
def test_a_picture_of_earlier_is_read_along_where_the_words_ask_about_it(
    said: str, output: list[OutputModality], recipe: str
) -> None:
    turns = [*SHOWN_BEFORE, user(TextPart(said))]
    assert choose_task(TALKING_MODEL, turns, asking(output), said).recipe.name == recipe


def test_where_words_come_first_a_picture_is_drawn_when_it_is_asked_for() -> None:
    for said, recipe in (("hello", "text_to_text"), ("a red ball", "text_to_image"), (None, "text_to_image")):
        assert choose_task(TALKING_MODEL, [user(TextPart("x"))], asking(["text", "image"]), said).recipe.name == recipe
    # Who can only answer by a picture does so.
    assert (
        choose_task(MODEL, [user(TextPart("hello"))], asking(["text", "image"]), "hello").recipe.name == "text_to_image"
    )


def test_what_was_spoken_is_told_apart_by_its_words() -> None:
    choice = Choice(TALKING_MODEL, (*SHOWN_BEFORE, user(SPEECH)), asking(SPOKEN))
    assert choice.task("what is this?").recipe.name == choice.task(None).recipe.name == "speech_and_image_to_speech"
    assert choice.task("draw a dog").recipe.name == "speech_to_image_and_speech"
    assert choice.task("draw a dog").outputs == {"speech", "text"}  # nobody asked for the picture on its way
    assert choice.hangs_on_words
    assert choice.heard("draw a dog") == choice.task("draw a dog")
    assert not replace(choice, turns=(user(SPEECH),)).hangs_on_words


def test_what_a_plain_client_said_is_answered_as_if_it_had_been_written() -> None:
    choice = Choice(TALKING_MODEL, (user(SPEECH),), asking(SPOKEN), plain=True)
    assert choice.hangs_on_words
    greeting = choice.heard("good morning")
    assert greeting.recipe.name == "text_to_text_and_speech"  # on the way to which no picture is made
    assert greeting.turns == (user(TextPart("good morning")),)
    shown = replace(choice, turns=(*SHOWN_BEFORE, user(SPEECH)))
    assert shown.heard("what is this?").recipe.name == "image_to_speech"
    assert shown.heard("draw a dog").recipe.name == "text_to_image_and_speech"
    both = replace(choice, turns=(user(SPEECH, TEXT),)).heard("")
    assert (both.recipe.name, both.turns) == ("text_to_image_and_speech", (user(TEXT, TextPart("")),))  # a red ball


def test_a_model_that_does_not_write_down_what_it_hears_is_not_asked_to() -> None:
    choice = Choice(SPEAKING_MODEL, (user(IMAGE), Turn("assistant", (TEXT,)), user(SPEECH)), asking(SPOKEN), plain=True)
    assert not choice.hangs_on_words
    assert choice.heard("good morning").recipe.name == "speech_to_speech"


@pytest.mark.parametrize(
    ("said", "outputs"), [("draw a dog", {"image", "speech", "text"}), ("good morning", {"speech", "text"})]
)
def test_who_cannot_ask_otherwise_asks_for_a_picture_in_words(said: str, outputs: set[str]) -> None:
    for turn in (user(TextPart(said)), user(SPEECH)):
        assert choose_task(TALKING_MODEL, [turn], asking(SPOKEN), said, plain=True).outputs == outputs
        assert choose_task(TALKING_MODEL, [turn], asking(SPOKEN), said).outputs == {"speech", "text"}
    shown = choose_task(TALKING_MODEL, [user(IMAGE, TextPart(said))], asking(SPOKEN), said, plain=True)
    assert shown.outputs == {"speech", "text"}  # a picture is answered, not painted over


DRAWN = [user(TextPart("draw a cat on a red background")), Turn("assistant", (IMAGE,))]
TOLD = [user(SPEECH), Turn("assistant", (IMAGE, TextPart("a cat on a red background")))]
WORDED_OTHERWISE = [user(TextPart("an image of a cat on a red background")), Turn("assistant", (IMAGE,))]
RETOLD = [user(IMAGE), Turn("assistant", (TextPart("a cat on a red background"),))]
RULES = FollowUps(
    (
        FollowUp("make it (two|three)", "(?:draw )?.+ (?P<noun>cats?) (?P<rest>on .+)", "draw {1} {many noun} {rest}"),
        FollowUp("now on (.+)", r"(?:draw )?(?P<things>.+) on an? \w+ background", "draw {things} on {a 1} background"),
    ),
    {"cat": "cats"},
)
WISHING = replace(TALKING_MODEL, follow_ups=RULES, max_turns=1)


@pytest.mark.parametrize("before", [DRAWN, TOLD, RETOLD, [*DRAWN, *RETOLD[1:]]])
def test_a_wish_about_the_last_picture_is_put_in_full(before: list[Turn]) -> None:
    turns, request = [*before, user(TextPart("make it two"))], TextPart("draw two cats on a red background")
    task = choose_task(WISHING, turns, asking(), "make it two")
    assert (task.recipe.name, task.turns) == ("text_to_image", (user(request),))
    for others in (asking(recipe="text_and_image_to_image"), asking(["text"])):
        assert choose_task(WISHING, turns, others, "make it two").turns[-1].parts[-1] != request
    assert choose_task(TALKING_MODEL, turns, asking(), "make it two").turns == tuple(turns)


def test_a_wish_may_be_about_what_another_wish_had_drawn() -> None:
    turns = [*DRAWN, user(TextPart("make it three")), Turn("assistant", (IMAGE,)), user(TextPart("now on orange"))]
    task = choose_task(WISHING, turns, asking(), "now on orange")
    assert task.turns == (user(TextPart("draw three cats on an orange background")),)


def test_no_wish_is_made_of_a_picture_that_is_shown_along_or_of_none() -> None:
    wish = TextPart("make it two")
    for turns in (
        [user(wish)],
        [*DRAWN, user(IMAGE, wish)],
        [user(TextPart("hello")), Turn("assistant", (TEXT,)), user(wish)],
    ):
        assert wish in choose_task(WISHING, turns, asking(), wish.text).turns[-1].parts


def test_a_spoken_wish_is_heard_before_it_is_put_in_full() -> None:
    turns = (*TOLD, user(SPEECH))
    assert Choice(WISHING, turns, asking()).hangs_on_words
    task = Choice(WISHING, turns, asking()).heard("make it three")
    assert (task.recipe.name, task.turns) == ("text_to_image", (user(TextPart("draw three cats on a red background")),))
    assert not Choice(WISHING, (user(SPEECH),), asking()).hangs_on_words


WORDED = replace(
    WISHING,
    wordings=(
        Wording("what's this", "what is this?"),
        Wording("(?:i want )?an? (?:picture|image) of (.+)", "draw {1}"),
    ),
)


@pytest.mark.parametrize(
    ("said", "media", "output", "recipe", "meant"),
    [
        ("What's this", [IMAGE], ["text"], "image_to_text", "what is this?"),
        ("I want a picture of two owls", [], BOTH, "text_to_image", "draw two owls"),
        ("what's that", [IMAGE], ["text"], "image_to_text", "what's that"),
        ("an image of a key", [], ["speech"], "text_to_speech", "an image of a key"),
    ],
)
def test_what_is_said_is_put_in_words_the_model_knows_but_read_aloud_as_it_is(
    said: str, media: list[Part], output: list[OutputModality], recipe: str, meant: str
) -> None:
    task = choose_task(WORDED, [user(*media, TextPart(said))], asking(output), said)
    assert task.recipe.name == recipe
    assert task.turns == (user(*media, TextPart(meant)),)
    assert task.words == (said if output == ["speech"] else None)


def test_a_wish_may_follow_a_request_in_other_words() -> None:
    task = choose_task(WORDED, [*WORDED_OTHERWISE, user(TextPart("make it two"))], asking(), "make it two")
    assert task.turns == (user(TextPart("draw two cats on a red background")),)


def test_words_beside_speech_are_put_so_too_and_what_was_heard_is_left() -> None:
    task = choose_task(WORDED, [user(SPEECH, TextPart("what's this"))], asking(), "draw a cat")
    assert task.turns[-1].parts == (SPEECH, TextPart("what is this?"))


def test_who_cannot_ask_otherwise_wishes_for_a_picture_in_words() -> None:
    task = choose_task(WISHING, [*TOLD, user(TextPart("make it two"))], asking(SPOKEN), "make it two", plain=True)
    assert "image" in task.outputs
    assert task.turns == (user(TextPart("draw two cats on a red background")),)


def test_where_nothing_else_can_answer_the_picture_is_read_all_the_same() -> None:
    card = replace(TALKING_MODEL, recipes={"image_to_text": TALKING_MODEL.recipes["image_to_text"]})
    assert (
        choose_task(card, [*SHOWN_BEFORE, user(TEXT)], asking(["text"]), "good morning").recipe.name == "image_to_text"
    )


def test_a_picture_alone_leaves_the_reply_out() -> None:
    task = choose_task(MODEL, [user(SPEECH)], asking(["image"]))
    assert [slot.name for slot in task.recipe.slots] == ["transcript", "image"]


@pytest.mark.parametrize(
    ("card", "turn", "output", "told"),
    [
        (MODEL, user(IMAGE, TEXT), ["image"], "a turn of an image and text with image alone"),
        (MODEL, user(TEXT), ["speech"], "a turn of text with speech alone"),
        (SPEAKING_MODEL, user(TEXT), ["text"], "a turn of text with text alone"),
        (SPEAKING_MODEL, user(IMAGE), ["speech"], "a turn of an image with speech alone"),
    ],
)
def test_what_the_model_cannot_is_refused(card: ModelCard, turn: Turn, output: list[OutputModality], told: str) -> None:
    with pytest.raises(ProtocolError, match=f"cannot answer {told}; it can do") as caught:
        choose_task(card, [turn], asking(output))
    assert (caught.value.code, caught.value.param) == (errors.UNSUPPORTED_VALUE, "response.omni.output")


def test_a_model_without_the_recipe() -> None:
    card = replace(MODEL, recipes={"text_to_image": MODEL.recipes["text_to_image"]})
    with pytest.raises(ProtocolError, match="it can do text_to_image"):
        choose_task(card, [user(SPEECH)], asking())


class TestARecipeByName:
    @pytest.mark.parametrize(
        ("name", "turn", "outputs"),
        [
            ("captioning", user(IMAGE), {"text"}),
            ("text_to_speech", user(TEXT), {"speech"}),
            ("speech_to_speech", user(SPEECH), {"text", "speech"}),
            ("speech_to_text", user(SPEECH, IMAGE), {"text"}),
        ],
    )
    def test_it_makes_all_it_can(self, name: str, turn: Turn, outputs: set[str]) -> None:
        task = choose_task(SPEAKING_MODEL, [turn], asking(recipe=name))
        assert task.recipe == SPEAKING_MODEL.recipes[name]
        assert task.outputs == outputs

    @pytest.mark.parametrize(
        ("name", "turn", "told"),
        [
            ("captioning", user(TEXT), "'captioning' reads an image, and the turn holds text"),
            ("speech_to_image", user(TEXT, IMAGE), "reads speech, and the turn holds text and an image"),
            ("text_to_image", user(SPEECH), "reads text, and the turn holds speech"),
        ],
    )
    def test_the_turn_must_hold_what_it_reads(self, name: str, turn: Turn, told: str) -> None:
        with pytest.raises(ProtocolError, match=f"{told}; .* take another recipe of speech_to_text") as caught:
            choose_task(SPEAKING_MODEL, [turn], asking(recipe=name))
        assert (caught.value.code, caught.value.param) == (errors.UNSUPPORTED_VALUE, "response.omni.recipe")

    def test_the_picture_may_stand_further_back(self) -> None:
        turns = [user(IMAGE), Turn("assistant", (TEXT,)), user(TEXT)]
        task = choose_task(replace(SPEAKING_MODEL, max_turns=1), turns, asking(recipe="captioning"))
        assert task.turns == (user(IMAGE, TEXT),)

    def test_a_name_the_model_does_not_know(self) -> None:
        with pytest.raises(ProtocolError, match="no recipe 'captioning'; this model has text_to_image, ") as caught:
            choose_task(MODEL, [user(IMAGE)], asking(recipe="captioning"))
        assert (caught.value.code, caught.value.param) == (errors.INVALID_VALUE, "response.omni.recipe")


def test_a_text_that_is_spoken_is_what_is_said() -> None:
    turn = user(TextPart("good"), TextPart("morning"))
    assert choose_task(SPEAKING_MODEL, [turn], asking(SPOKEN)).words == "good morning"
    assert choose_task(SPEAKING_MODEL, [user(SPEECH, TEXT)], asking(SPOKEN)).words is None
    assert choose_task(MODEL, [user(TEXT)], asking()).words is None


def test_only_the_last_turns_are_read_where_the_model_knows_no_more() -> None:
    turns = [user(TEXT), Turn("assistant", (IMAGE,)), user(TextPart("now blue"))]
    assert choose_task(MODEL, turns, asking()).turns == tuple(turns)
    assert choose_task(replace(MODEL, max_turns=1), turns, asking()).turns == (turns[-1],)


def test_the_picture_asked_about_comes_along() -> None:
    turns = [user(TEXT), Turn("assistant", (IMAGE,)), user(TEXT)]
    assert choose_task(replace(MODEL, max_turns=1), turns, asking(["text"])).turns == (user(IMAGE, TEXT),)


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


def test_what_failed_to_be_answered_is_not_said_along_with_what_comes_next() -> None:
    items = [item("user", "a"), item("user", "b"), item("user", "c")]
    parts: dict[str, tuple[Part, ...]] = {name: (TextPart(name),) for name in "abc"}
    turns = turns_of(items, parts, closing={"b"})
    assert [turn.parts for turn in turns] == [(TextPart("a"), TextPart("b")), (TextPart("c"),)]
