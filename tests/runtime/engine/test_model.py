import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.codecs.vocabulary import Vocabulary
from runtime.engine.blueprint import Blueprint
from runtime.engine.model import EMBEDDED, check, doubting, load_model, save_model
from runtime.engine.prompt import COMPACT_CHAT, PUBLISHED_CHAT, REFERENCE_CHAT
from runtime.engine.recipe import EMBEDDED_RECIPES, PUBLISHED_RECIPES
from runtime.engine.rules import Claim, Explained, Spelled, Unsure
from runtime.models.checkpoints import CheckpointError
from tests.support.published_layout import MODEL_FILE, write_published
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tiny_model(), tmp_path / "model", SPEECH_ENCODER)
    return tmp_path / "model"


def test_a_saved_model_answers_as_before(folder: Path) -> None:
    model, again = tiny_model(), load_model(folder)
    ids = torch.tensor([[1, 5, 9]])
    with torch.inference_mode():
        assert torch.allclose(model.backbone(ids), again.backbone(ids), atol=0.05)
    assert again.text.encode("two apples") == model.text.encode("two apples")
    assert again.vocabulary == model.vocabulary
    assert again.image_grid == (10, 10)
    assert again.prompt_image_size_px == 80
    assert (again.chat, again.recipes, again.fidelity) == (COMPACT_CHAT, EMBEDDED_RECIPES, "corrected")
    assert again.voice is again.speech_tokenizer is None
    assert {parameter.dtype for parameter in again.backbone.parameters()} == {torch.float32}
    assert again.backbone.lm_head.weight is again.backbone.model.embed_tokens.weight


def test_the_model_file_and_its_folder_mean_the_same_model(folder: Path) -> None:
    by_folder, by_file = load_model(folder), load_model(folder / "model.json")
    assert by_folder.name == by_file.name == "tiny"


def test_a_model_can_be_saved_over_itself(folder: Path) -> None:
    model = load_model(folder)
    for _ in range(2):
        save_model(model, folder, SPEECH_ENCODER)
    again = load_model(folder)
    assert torch.equal(again.backbone.model.embed_tokens.weight, model.backbone.model.embed_tokens.weight)


def test_what_is_said_where_it_does_not_know_is_saved_and_told_the_recipes(tmp_path: Path) -> None:
    unsure = Unsure("who knows", 0.5, ("speech_and_image_to_text",))
    save_model(replace(tiny_model(), unsure=unsure), tmp_path, SPEECH_ENCODER)
    again = load_model(tmp_path)
    assert again.unsure == unsure
    heard, told = again.recipes["speech_and_image_to_text"].slots
    assert (heard.unsure, told.unsure, told.unsure_margin) == ("", "who knows", 0.5)
    assert again.recipes["image_to_text"] == EMBEDDED_RECIPES["image_to_text"]


CLAIM = Claim("what is this", ("draw {answer}",))


def test_what_answers_are_held_against_is_saved(tmp_path: Path) -> None:
    explained, spelled = Explained((CLAIM,), ("image_to_text",), 0.02), Spelled(" abcdefg", 0.2)
    save_model(replace(tiny_model(), explained=explained, spelled=spelled), tmp_path, SPEECH_ENCODER)
    again = load_model(tmp_path)
    assert (again.explained, again.spelled) == (explained, spelled)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"explained": Explained((CLAIM,), ("smell_to_text",), 1.0)},
            "explained: this model has no recipe smell_to_text",
        ),
        (
            {"explained": Explained((CLAIM,), (), 1.0, draws="dance")},
            "explained: this model has no recipe dance; it has",
        ),
        ({"spelled": Spelled("abc", 1.0)}, "spelled: letters: 3 came, and the speech encoder tells 8 apart"),
    ],
)
def test_what_answers_cannot_be_held_against(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    save_model(replace(tiny_model(), **changes), tmp_path, SPEECH_ENCODER)
    with pytest.raises(CheckpointError, match=message):
        load_model(tmp_path)


def test_recipes_that_a_model_has_not_cannot_doubt() -> None:
    with pytest.raises(
        CheckpointError, match=r"unsure: recipes: this model has no smell_to_text; it has text_to_image"
    ):
        doubting(EMBEDDED_RECIPES, Unsure("who knows", 0.5, ("smell_to_text",)))


@pytest.mark.parametrize("device", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_here_is_named(device: str, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=f"device '{device}' cannot be used .*; cpu always can"):
        load_model(folder, device)


def test_the_embedded_model() -> None:
    model = load_model(EMBEDDED)
    assert model.image_grid == (10, 10)
    assert not any(module.training for module in (model.backbone, model.image_tokenizer))


@pytest.mark.parametrize("fidelity", ["corrected", "reference"])
def test_the_published_model(fidelity: str, tmp_path: Path) -> None:
    path = write_published(tmp_path)
    path.write_text(json.dumps(MODEL_FILE | {"fidelity": fidelity}))
    model = load_model(path)
    assert model.vocabulary == Vocabulary.published()
    assert (model.image_size_px, model.prompt_image_size_px, model.image_grid) == (256, 512, (16, 16))
    assert model.recipes is PUBLISHED_RECIPES
    assert model.chat == (REFERENCE_CHAT if fidelity == "reference" else PUBLISHED_CHAT)
    assert model.fidelity == fidelity
    assert model.speech_tokenizer is not None
    assert model.voice is not None
    with torch.inference_mode():
        assert model.backbone(torch.tensor([[1, 151_666]])).shape == (1, 2, 176_264)
        assert len(model.voice.pcm(torch.tensor([1, 2, 3]))) > 1000


def test_more_than_the_memory_there_is_is_refused(folder: Path) -> None:
    parts = [find() for _, find in Blueprint.read(folder).networks()]
    needed = sum(part.examine().memory_bytes for part in parts)
    assert needed == pytest.approx(4 * sum(p.numel() for part in parts for p in part.network.parameters()), rel=0.1)
    check(parts, available=needed)
    with pytest.raises(CheckpointError, match=r"backbone\.safetensors: the weights take .* GB .*Name a smaller dtype"):
        check(parts, available=needed - 1)
    assert all(p.is_meta or p.numel() < 100 for part in parts for p in part.network.parameters())


def test_weights_that_do_not_fit_are_refused_before_any_is_loaded(folder: Path) -> None:
    (folder / "image_tokenizer.safetensors").write_bytes((folder / "backbone.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match=r"image_tokenizer\.safetensors: .* is missing\. .*And \d+ more"):
        load_model(folder)


def test_a_folder_without_model_file_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model\.json here"):
        load_model(tmp_path)


def test_an_unknown_field_is_named(folder: Path) -> None:
    file = folder / "model.json"
    file.write_text(file.read_text().replace('"name"', '"nickname"'))
    with pytest.raises(CheckpointError, match="nickname"):
        load_model(folder)


@pytest.mark.parametrize("name", ["backbone.safetensors", "tokenizer.json", "speech_front_end.safetensors"])
def test_a_missing_part_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_model(folder)


@pytest.mark.parametrize(
    "name",
    [
        "model.json",
        "backbone.safetensors",
        "image_tokenizer.safetensors",
        "speech_front_end.safetensors",
        "tokenizer.json",
    ],
)
def test_any_damage_to_any_file_ends_in_words(name: str, folder: Path) -> None:
    """Or, where it hits numbers or words that may be any, in a model."""
    path = folder / name
    whole = path.read_bytes()

    @settings(max_examples=40)
    @given(st.integers(0, min(len(whole), 4000)), st.binary(max_size=4), st.integers(0, 4), st.booleans())
    def check(start: int, middle: bytes, skipped: int, cut: bool) -> None:
        path.write_bytes(whole[:start] + middle + (b"" if cut else whole[start + skipped :]))
        try:
            load_model(folder)
        except CheckpointError as error:
            assert str(folder) in str(error)  # noqa: PT017 - both ends are fine

    check()


NUMBERS = (
    st.integers(-3, 70) | st.floats(allow_nan=False) | st.none() | st.text(max_size=3) | st.lists(st.integers(0, 9))
)


def test_any_value_in_the_model_file_ends_in_words(folder: Path) -> None:
    file = json.loads((folder / "model.json").read_text())
    parts, vocabulary = file["parts"], file["vocabulary"]
    backbone = parts["backbone"]
    places = [
        file, parts, vocabulary, vocabulary["special"], backbone, backbone["config"], backbone["speech_encoder"],
        parts["image_tokenizer"]["config"], parts["image_tokenizer"]["config"]["encoder"],
    ]  # fmt: skip

    @settings(max_examples=60)
    @given(st.sampled_from([(i, name) for i, place in enumerate(places) for name in place]), NUMBERS)
    def check(where: tuple[int, str], value: object) -> None:
        place, name = places[where[0]], where[1]
        before = place[name]
        place[name] = value
        (folder / "model.json").write_text(json.dumps(file))
        place[name] = before
        try:
            load_model(folder)
        except CheckpointError as error:
            assert str(folder) in str(error)  # noqa: PT017 - both ends are fine

    check()
