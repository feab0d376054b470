import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.codecs.vocabulary import Vocabulary
from runtime.config import EMBEDDED_MODEL
from runtime.engine.model_file import (
    BackboneSource,
    ImageSizes,
    ModelFile,
    NetworkSource,
    Source,
    find_model_file,
    located,
    read_model_file,
    template,
)
from runtime.models import weight_files
from runtime.models.checkpoints import CheckpointError
from tests.support.published_layout import MODEL_FILE, write_backbone
from tests.support.published_layout import write_model_file as write

README = Path(weight_files.__file__).with_name("README.md")


def test_the_one_in_the_readme(tmp_path: Path) -> None:
    text = README.read_text()
    start = text.index("```yaml") + len("```yaml")
    (tmp_path / "model.yaml").write_text(text[start : text.index("```", start)])
    file = read_model_file(tmp_path / "model.yaml")
    assert file.image_sizes == ImageSizes(512, 256)
    assert file.dtype == "bfloat16"
    fields = {*ModelFile.__struct_fields__, *BackboneSource.__struct_fields__}
    assert all(f"`{name}`" in text for name in fields)


def test_the_embedded_models_own() -> None:
    file = read_model_file(find_model_file(EMBEDDED_MODEL))
    assert isinstance(file.parts.backbone, BackboneSource)
    assert file.parts.backbone.config["num_hidden_layers"] == 7
    assert file.parts.speech_decoder is None
    assert file.ids.speech == (670, 1694)
    assert file.ids.image == (1694, 3742)
    assert file.image_sizes == ImageSizes(80, 80)
    assert (file.dtype, file.fidelity) == ("float32", "corrected")


def test_json_and_yaml_are_alike(tmp_path: Path) -> None:
    path = write(tmp_path / "model.json")
    (tmp_path / "model.yaml").write_bytes(msgspec.yaml.encode(MODEL_FILE))
    file = read_model_file(path)
    assert read_model_file(tmp_path / "model.yaml") == file
    assert file.ids == Vocabulary.published()
    assert file.image_sizes == ImageSizes(prompt=512, answer=256)


@pytest.mark.parametrize("name", ["model.json", "model.yaml", "model.yml"])
def test_a_folder_and_its_file_mean_the_same(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert find_model_file(tmp_path) == find_model_file(tmp_path / name) == tmp_path / name


def test_a_folder_that_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model\.json here"):
        find_model_file(tmp_path)
    with pytest.raises(CheckpointError, match=r"no model\.json here"):
        find_model_file(tmp_path / "nowhere")


def test_a_published_backbone_comes_with_the_file_to_write(tmp_path: Path) -> None:
    write_backbone(tmp_path / "Omni-Diffusion")
    with pytest.raises(CheckpointError, match=r"Write this as .*model\.json") as caught:
        find_model_file(tmp_path / "Omni-Diffusion")
    text = str(caught.value)
    (tmp_path / "Omni-Diffusion" / "model.json").write_text(text[text.index("\n") :])
    file = read_model_file(find_model_file(tmp_path / "Omni-Diffusion"))
    assert file.name == "Omni-Diffusion"
    assert file.parts.speech_tokenizer == "THUDM/glm-4-voice-tokenizer"
    assert located(file.parts.backbone, tmp_path / "Omni-Diffusion", (), download=False).samefile(
        tmp_path / "Omni-Diffusion"
    )


def test_the_template_takes_the_front_end_that_lies_there(tmp_path: Path) -> None:
    assert json.loads(template(tmp_path))["parts"]["speech_front_end"] == "FunAudioLLM/SenseVoiceSmall"
    (tmp_path / "am.mvn").touch()
    assert json.loads(template(tmp_path))["parts"]["speech_front_end"] == "am.mvn"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backbone": {}}, ["unknown field backbone", "name, parts, vocabulary, image_size_px"]),
        ({"dtype": "int8"}, ["dtype: 'int8' is not known", "auto, float32, bfloat16, float16"]),
        ({"fidelity": "exact"}, ["fidelity: 'exact' is not known", "corrected, reference"]),
        ({"vocabulary": "mine"}, ["vocabulary: 'mine' is not known", "published"]),
        ({"vocabulary": {"text": [0, 1]}}, ["speech"]),
        ({"image_size_px": {"prompt": 512}}, ["answer"]),
        ({"image_size_px": "large"}, ["image_size_px"]),
        ({"parts": {}}, ["backbone"]),
        ({"parts": MODEL_FILE["parts"] | {"tokenizer": "x"}}, ["unknown field tokenizer", "speech_front_end, text"]),
        ({"parts": MODEL_FILE["parts"] | {"text": {"file": "x"}}}, ["text: unknown field file", "path, hub, revision"]),
        ({"parts": MODEL_FILE["parts"] | {"vocoder": "x"}}, ["unknown field vocoder"]),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be(changes: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    path = write(tmp_path / "model.json", **changes)
    with pytest.raises(CheckpointError) as caught:
        read_model_file(path)
    assert all(word in str(caught.value) for word in (*words, str(path)))
    assert "\n" not in str(caught.value)


def test_paths_are_beside_the_model_file(tmp_path: Path) -> None:
    (tmp_path / "owner").mkdir()
    (tmp_path / "owner" / "name").mkdir()
    for source in ("owner/name", "./owner/name", Source(path="owner/name"), NetworkSource(path="owner/name")):
        assert located(source, tmp_path, (), download=False).samefile(tmp_path / "owner" / "name")
    assert located(str(tmp_path), Path("/somewhere/else"), (), download=False) == tmp_path


@pytest.mark.parametrize("source", ["weights.safetensors", "a/b/c", "../a", Source(path="owner/name"), "~nobody/x/y"])
def test_a_path_where_nothing_lies(source: str | Source, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=re.escape(": no such file or folder")):
        located(source, tmp_path, (), download=False)


@pytest.mark.parametrize("source", ["owner/name", Source(hub="owner/name"), Source(hub="owner/name", revision="v1")])
def test_a_hub_id_is_looked_up(source: str | Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def hub_folder(name: str, needs: tuple[str, ...], revision: str | None = None, download: bool = True) -> Path:
        asked.append((name, needs, revision, download))
        return tmp_path

    monkeypatch.setattr("runtime.engine.model_file.hub_folder", hub_folder)
    assert located(source, tmp_path, ("*.bin",), download=False) == tmp_path
    assert asked == [("owner/name", ("*.bin",), getattr(source, "revision", None), False)]


@pytest.mark.parametrize("source", [Source(), Source(path="x", hub="owner/name"), NetworkSource(revision="v1")])
def test_a_source_is_one_or_the_other(source: Source, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="either its path or its hub id"):
        located(source, tmp_path, (), download=False)
