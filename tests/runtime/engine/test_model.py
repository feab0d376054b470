from pathlib import Path

import pytest
import torch

from runtime.engine.model import load_model, save_model
from runtime.models.checkpoints import CheckpointError
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
