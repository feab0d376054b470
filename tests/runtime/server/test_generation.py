from dataclasses import fields, replace
from typing import Any, get_args

import numpy as np
import pytest
from msgspec import UNSET

from omnisdk.protocol import errors, settings
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.settings import OmniSettings, RetentionRatio, SlotSettings, TokenLimits
from runtime.engine import recipe as engine
from runtime.engine.output import SlotState
from runtime.engine.recipe import EMBEDDED_RECIPES, PUBLISHED_RECIPES, Recipe, SlotRecipe
from runtime.engine.truncation import Truncation
from runtime.server.generation import check_generation, limited, truncation_of, was_cut, with_generation
from runtime.server.model_card import PictureShape
from tests.support.live_server import MODEL, SPEAKING_MODEL

SPEECH_TO_IMAGE = EMBEDDED_RECIPES["speech_to_image"]


def slot(recipe: Recipe, name: str) -> SlotRecipe:
    return next(slot for slot in recipe.slots if slot.name == name)


def test_the_wires_words_are_the_engines() -> None:
    assert get_args(settings.Schedule) == get_args(engine.Schedule)
    assert get_args(settings.ConfidenceRule) == get_args(engine.ConfidenceRule)
    assert set(SlotSettings.__struct_fields__) <= {field.name for field in fields(SlotRecipe)}


def test_nothing_given_changes_nothing() -> None:
    assert with_generation(SPEECH_TO_IMAGE, settings.DEFAULT_OMNI) == SPEECH_TO_IMAGE
    assert with_generation(SPEECH_TO_IMAGE, OmniSettings()) == SPEECH_TO_IMAGE


def test_steps_are_those_of_the_picture() -> None:
    changed = with_generation(SPEECH_TO_IMAGE, OmniSettings(steps=33))
    before = {slot.name: slot.steps for slot in SPEECH_TO_IMAGE.slots}
    assert {slot.name: slot.steps for slot in changed.slots} == {**before, "image": 33}


def test_the_numbers_of_one_slot() -> None:
    given: dict[str, Any] = {
        "length": 64, "steps": 24, "schedule": "linear", "confidence": "margin", "confidence_noise": 1.5,
        "prior_weight": 0.5, "commit": "threshold", "commit_bound": 0.9, "revise_below": 0.1, "refresh_every": 4,
        "temperature": 0.7, "top_k": 9, "top_p": 0.5, "repeat_penalty": 1.5, "position_penalty": 2.0,
        "hypotheses": 4, "guidance_scale": 3.0,
    }  # fmt: skip
    assert set(given) == set(SlotSettings.__struct_fields__)
    own = SlotSettings(**given)
    changed = with_generation(SPEECH_TO_IMAGE, OmniSettings(steps=33, generation={"image": own}))
    assert slot(changed, "image") == replace(slot(SPEECH_TO_IMAGE, "image"), **given)
    assert [slot for slot in changed.slots if slot.name != "image"] == [
        slot for slot in SPEECH_TO_IMAGE.slots if slot.name != "image"
    ]


def test_null_is_the_recipes_own() -> None:
    own = OmniSettings(steps=None, generation={"image": SlotSettings(steps=None, top_k=None)})
    assert with_generation(SPEECH_TO_IMAGE, own) == SPEECH_TO_IMAGE


def test_settings_of_slots_the_recipe_has_not_do_nothing() -> None:
    own = OmniSettings(generation={"image": SlotSettings(steps=3)})
    assert with_generation(EMBEDDED_RECIPES["image_to_text"], own) == EMBEDDED_RECIPES["image_to_text"]


def test_the_steps_keep_their_share_of_the_length() -> None:
    own = OmniSettings(generation={"text": SlotSettings(length=32), "transcript": SlotSettings(length=2)})
    changed = with_generation(EMBEDDED_RECIPES["speech_to_image"], own)  # 16 positions in 4 steps each
    assert [(slot.length, slot.steps) for slot in changed.slots if slot.modality == "text"] == [(2, 1), (32, 8)]


def test_a_length_is_exact_where_it_would_follow_the_conversation() -> None:
    recipe = PUBLISHED_RECIPES["text_to_speech"]  # 1024 positions in 512 steps at most

    def changed(**given: Any) -> SlotRecipe:
        return slot(with_generation(recipe, OmniSettings(generation={"speech": SlotSettings(**given)})), "speech")

    assert (changed(length=200).adaptive, changed(length=200).length, changed(length=200).steps) == (None, 200, 100)
    assert (changed(length=200, steps=30).length, changed(length=200, steps=30).steps) == (200, 30)
    follows = changed(steps=256).settled({"text": 100, "prompt": 0})
    assert (follows.length, follows.steps) == (350, 87)


@pytest.mark.parametrize(
    ("omni", "param", "told"),
    [
        (OmniSettings(recipe="captioning"), "recipe", "no recipe 'captioning'; this model has text_to_image"),
        (
            OmniSettings(generation={"picture": SlotSettings()}),
            "generation.picture",
            "no slot 'picture'; .* image, text",
        ),
        (OmniSettings(generation={"x" * 500: SlotSettings()}), f"generation.{'x' * 80}", "no slot 'x{80}';"),
    ],
)
def test_what_the_model_has_not(omni: OmniSettings, param: str, told: str) -> None:
    with pytest.raises(ProtocolError, match=told) as caught:
        check_generation(MODEL, omni, "session.omni")
    assert (caught.value.code, caught.value.param) == (errors.INVALID_VALUE, f"session.omni.{param}")


def test_what_the_model_has() -> None:
    check_generation(MODEL, UNSET, "session.omni")
    check_generation(MODEL, settings.DEFAULT_OMNI, "session.omni")
    wanted = OmniSettings(recipe="captioning", generation={"speech": SlotSettings(), "image": SlotSettings()})
    check_generation(SPEAKING_MODEL, wanted, "session.omni")
    with pytest.raises(ProtocolError):  # it is the model that has it
        check_generation(MODEL, wanted, "session.omni")


@pytest.mark.parametrize(
    ("wanted", "truncation"),
    [
        (UNSET, Truncation()),
        (None, Truncation()),
        ("auto", Truncation()),
        ("disabled", Truncation(enabled=False)),
        (RetentionRatio(retention_ratio=0.8), Truncation(share=0.8)),
        (
            RetentionRatio(retention_ratio=0.5, token_limits=TokenLimits(post_instructions=900)),
            Truncation(most_positions=900, share=0.5),
        ),
    ],
)
def test_what_is_left_out_of_too_long_a_conversation(wanted: Any, truncation: Truncation) -> None:
    assert truncation_of(wanted) == truncation


def test_the_limit_of_tokens_is_about_what_is_written() -> None:
    heard = EMBEDDED_RECIPES["speech_to_image"]
    assert [slot.length for slot in limited(heard, 4).slots] == [16, 100, 4]
    assert [slot.steps for slot in limited(heard, 4).slots] == [4, 8, 1]
    assert [slot.length for slot in limited(EMBEDDED_RECIPES["speech_to_text"], 4).slots] == [4]
    assert limited(heard, "inf") == limited(heard, 400) == heard


@pytest.mark.parametrize(
    ("name", "length", "full", "cut"),
    [
        ("text", 4, True, True),
        ("text", 4, False, False),  # it came to its end
        ("text", 3, True, False),  # the recipe made it so short
        ("transcript", 4, True, False),  # what was heard is not the answer here
    ],
)
def test_what_was_cut(name: str, length: int, full: bool, cut: bool) -> None:
    def slot(name: str, length: int, full: bool) -> SlotState:
        return SlotState(name, "text", np.zeros(length, np.int64), np.ones(length, np.float32), full=full)

    assert was_cut([slot(name, length, full), slot("text", 2, False)], 4) is cut
    assert not was_cut([slot(name, length, full)], "inf")


@pytest.mark.parametrize(
    ("fixed", "length", "told"),
    [(True, 64, "this model draws 2 x 2; send 4"), (True, 3, "send 4"), (False, 3, "send a square number")],
)
def test_a_picture_of_another_size_than_the_model_draws(fixed: bool, length: int, told: str) -> None:
    card = replace(MODEL, picture=PictureShape(8, 8, 2, 2, fixed=fixed))
    wanted = OmniSettings(generation={"image": SlotSettings(length=length)})
    with pytest.raises(ProtocolError, match=told) as caught:
        check_generation(card, wanted, "session.omni")
    assert (caught.value.code, caught.value.param) == (errors.INVALID_VALUE, "session.omni.generation.image.length")
    check_generation(card, OmniSettings(generation={"image": SlotSettings(length=4)}), "session.omni")
    check_generation(card, OmniSettings(generation={"text": SlotSettings(length=3)}), "session.omni")


def test_who_says_how_a_text_is_filled_has_it_filled_so() -> None:
    own = {"transcript": SlotSettings(steps=2), "text": SlotSettings(length=8)}
    changed = with_generation(SPEECH_TO_IMAGE, OmniSettings(generation=own))
    assert slot(changed, "transcript").hypotheses == 1
    assert slot(changed, "text").hypotheses == slot(SPEECH_TO_IMAGE, "text").hypotheses > 1
    both = OmniSettings(generation={"text": SlotSettings(steps=2, hypotheses=3)})
    assert slot(with_generation(SPEECH_TO_IMAGE, both), "text").hypotheses == 3
