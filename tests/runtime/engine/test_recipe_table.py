import json
from dataclasses import fields
from pathlib import Path

import pytest

from omnisdk.protocol.settings import SlotSettings
from runtime.engine.model import EMBEDDED
from runtime.engine.recipe import EMBEDDED_RECIPES, PUBLISHED_RECIPES, SlotRecipe
from runtime.engine.recipe_table import EXPLAINED, as_fields, as_text, chosen, recipes_of
from runtime.models.checkpoints import CheckpointError


def rows(text: str) -> dict[str, list[str]]:
    """The table's rows of one recipe by their first column."""
    table = text.partition("\n\n")[0].splitlines()[1:]
    return {line.split()[0]: line.split()[1:] for line in table}


def test_every_number_that_can_be_set_is_explained() -> None:
    assert list(EXPLAINED) == list(SlotSettings.__struct_fields__)
    assert set(EXPLAINED) <= {field.name for field in fields(SlotRecipe)}


def test_one_recipe_with_all_its_numbers() -> None:
    text = as_text(chosen(EMBEDDED_RECIPES, "speech_to_image"))
    assert text.startswith("speech_to_image\n")
    shown = rows(text)
    assert shown["slot"] == ["transcript", "image", "text"]
    assert shown["length"] == ["16", "100", "16"]
    assert shown["steps"] == ["4", "8", "4"]
    assert shown["schedule"] == ["linear", "cosine", "linear"]
    assert shown["guidance_scale"] == ["0", "1", "0"]
    assert set(EXPLAINED) <= set(shown)
    assert all(meaning in text for meaning in EXPLAINED.values())


def test_the_words_put_to_the_model() -> None:
    text = as_text(chosen(PUBLISHED_RECIPES, "text_to_speech"))
    assert rows(text)["task"] == ["TTS"]
    assert " ".join(rows(text)["instruction"]) == "Convert the text to speech."
    assert "3.5 a token of the text, at most 1024" in text
    assert "system" not in rows(text)


def test_of_several_recipes_what_is_off_is_left_out() -> None:
    text = as_text(chosen(PUBLISHED_RECIPES, None))
    assert [line for line in text.splitlines() if line in PUBLISHED_RECIPES] == list(PUBLISHED_RECIPES)
    assert "temperature" not in text
    assert text.count(EXPLAINED["repeat_penalty"]) == 1
    assert all(len(line) <= 120 for line in text.splitlines())


def test_as_json() -> None:
    told = json.loads(json.dumps(as_fields(chosen(PUBLISHED_RECIPES, None))))
    assert list(told) == list(PUBLISHED_RECIPES)
    slot = told["speech_to_text"]["slots"][0]
    assert (slot["name"], slot["length"], slot["adaptive"]) == ("transcript", 512, {"of": "prompt", "ratio": 0.2})


def test_models_by_name_and_folder(tmp_path: Path) -> None:
    assert recipes_of("embedded") is recipes_of(str(EMBEDDED)) is EMBEDDED_RECIPES
    assert recipes_of("published") is PUBLISHED_RECIPES
    part = {"path": "nowhere"}
    parts = dict.fromkeys(("backbone", "image_tokenizer", "speech_front_end", "text"), part)
    file = {"name": "far", "parts": parts, "vocabulary": "published", "image_size_px": 256}
    (tmp_path / "model.json").write_text(json.dumps(file))
    assert recipes_of(str(tmp_path)) is PUBLISHED_RECIPES


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such model; give embedded or published"):
        recipes_of("nowhere")
    with pytest.raises(CheckpointError, match=r"no model.json here"):
        recipes_of(str(tmp_path))
    with pytest.raises(ValueError, match="no recipe 'captioning'; this model has text_to_image"):
        chosen(EMBEDDED_RECIPES, "captioning")
