from dataclasses import replace

import pytest

from runtime.engine.recipe import EMBEDDED_RECIPES, PUBLISHED_RECIPES, Recipe
from runtime.server.model_card import makes, reads
from tests.support.live_server import MODEL, SPEAKING_MODEL


@pytest.mark.parametrize(
    ("name", "modalities"),
    [
        ("text_to_speech", ("text",)),
        ("speech_to_image", ("speech",)),
        ("speech_and_image_to_text", ("speech", "image")),
        ("captioning", ("image",)),
        ("something_else", ()),
    ],
)
def test_what_a_recipe_reads(name: str, modalities: tuple[str, ...]) -> None:
    assert reads(Recipe(name, ())) == modalities


def test_every_published_and_embedded_recipe_reads_something() -> None:
    assert all(reads(recipe) for recipe in (*EMBEDDED_RECIPES.values(), *PUBLISHED_RECIPES.values()))


def test_what_a_recipe_makes() -> None:
    assert makes(EMBEDDED_RECIPES["speech_to_image"]) == ("text", "image")
    assert makes(PUBLISHED_RECIPES["speech_to_speech"]) == ("text", "speech")


def test_modalities_and_slots_of_a_model() -> None:
    assert MODEL.modalities_in == SPEAKING_MODEL.modalities_in == ("text", "speech", "image")
    assert (MODEL.modalities_out, MODEL.speaks) == (("text", "image"), False)
    assert (SPEAKING_MODEL.modalities_out, SPEAKING_MODEL.speaks) == (("text", "image", "speech"), True)
    assert set(SPEAKING_MODEL.slot_names) == {"transcript", "text", "image", "speech"}
    assert replace(MODEL, recipes={"captioning": PUBLISHED_RECIPES["captioning"]}).modalities_in == ("image",)
