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

README = Path(weight_files.__file__).with_name("README.md")


def write(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(MODEL_FILE | changes))
    return path


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


@pytest.mark.parametrize(
    ("asked", "drawn", "message"),
    [
        ("what (is", ["draw {answer}"], r"'what \(is' is no regular expression"),
        ("what", ["{answer}", "draw it"], "'draw it' has no place for the answer; write {answer} where it stands"),
        ("what is (.+)", ["{answer} {2}"], r"asks for group 2; 'what is \(\.\+\)' has 1"),
        ("what is this", [], "nothing would be drawn of an answer to 'what is this'"),
    ],
)
def test_claims_that_say_nothing(asked: str, drawn: list[str], message: str, tmp_path: Path) -> None:
    explained = {"claims": [{"asked": asked, "drawn": drawn}], "recipes": [], "weight": 0.1}
    path = write(tmp_path / "model.json", explained=explained)
    with pytest.raises(CheckpointError, match=message):
        read_model_file(path)


@pytest.mark.parametrize(
    ("implied", "message"),
    [
        ({"asked": "is (it"}, r"'is \(it' is no regular expression"),
        ({"answers": {}}, r"nothing is said to 'is it \(a\|b\)'; name an answer at least"),
        ({"answers": {"yes": "(x"}}, r"'\(x' is no regular expression"),
        ({"answers": {"yes": "{2}"}}, r"asks for group 2; 'is it \(a\|b\)' has 1"),
        ({"by": "who is it?"}, "no claim is about 'who is it\\?'"),
    ],
)
def test_answers_that_follow_from_nothing(implied: dict[str, object], message: str, tmp_path: Path) -> None:
    whole = {"asked": "is it (a|b)", "by": "What is it?", "answers": {"yes": "{1}{3,4}"}}
    explained = {"claims": [{"asked": r"what is it\?", "drawn": ["{answer}"]}], "recipes": [], "weight": 0.1}
    path = write(tmp_path / "model.json", explained=explained | {"implied": [whole]})
    read_model_file(path)
    write(path, explained=explained | {"implied": [whole | implied]})
    with pytest.raises(CheckpointError, match=message):
        read_model_file(path)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"asked": "make it ("}, r"'make it \(' is no regular expression"),
        ({"before": "(?P<noun"}, "is no regular expression"),
        ({"drawn": "draw {2}"}, r"'draw \{2\}' has a place '2'; name one of 1, noun, alone or behind one, many, a"),
        ({"drawn": "draw {few noun}"}, "has a place 'few noun'"),
        ({"drawn": "draw {thing}"}, "has a place 'thing'"),
    ],
)
def test_follow_ups_that_cannot_be_put_in_full(rule: dict[str, str], message: str, tmp_path: Path) -> None:
    whole = {"asked": "make it (.+)", "before": "an? (?P<noun>.+)", "drawn": "draw {1} {many noun}, not {one noun}"}
    path = write(tmp_path / "model.json", follow_ups={"rules": [whole], "plurals": {}})
    read_model_file(path)
    write(path, follow_ups={"rules": [whole | rule], "plurals": {}})
    with pytest.raises(CheckpointError, match=message):
        read_model_file(path)


@pytest.mark.parametrize(
    ("said", "meant", "message"),
    [
        ("what(", "what", r"'what\(' is no regular expression"),
        ("draw (.+)", "draw {2}", r"asks for group 2; 'draw \(\.\+\)' has 1"),
        ("draw (.+)", "draw {it}", "has a place 'it'; name the number of a group"),
    ],
)
def test_wordings_that_mean_nothing(said: str, meant: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "model.json", wordings=[{"said": said, "meant": meant}])
    with pytest.raises(CheckpointError, match=message):
        read_model_file(path)
