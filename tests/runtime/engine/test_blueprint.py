import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from runtime.engine.blueprint import Blueprint
from runtime.engine.model import save_model
from runtime.models.checkpoints import CheckpointError
from tests.support.published_layout import write_published
from tests.support.speaking_model import speaking_model
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model

NETWORKS = ["backbone", "image_tokenizer", "speech_tokenizer", "speech_flow", "vocoder"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_published(tmp_path_factory.mktemp("published"))


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    save_model(tiny_model(), tmp_path / "model", SPEECH_ENCODER)
    return tmp_path / "model" / "model.json"


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> Blueprint:
    """The blueprint of the model file with a change in it, beside the file."""
    file = json.loads(path.read_text())
    change(file)
    other = path.with_name("changed.json")
    other.write_text(json.dumps(file))
    return Blueprint.read(other, download=False)


def test_the_published_layouts_are_read_as_they_are(published: Path) -> None:
    blueprint = Blueprint.read(published, download=False)
    parts = {name: find() for name, find in blueprint.networks()}
    assert list(parts) == NETWORKS
    for part in parts.values():
        assert part.examine().problems == ()
        network = part.load()
        assert not any(tensor.is_meta for tensor in network.state_dict().values())
        assert not network.training
    dtypes = {name: {p.dtype for p in part.network.parameters()} for name, part in parts.items()}
    assert dtypes == {name: {torch.float32} for name in NETWORKS} | {"backbone": {torch.bfloat16}}


def test_the_small_parts_of_the_published_model(published: Path) -> None:
    blueprint = Blueprint.read(published, download=False)
    assert blueprint.text().encode("a") == [blueprint.text().encode("a")[0]]
    front_end = blueprint.front_end()
    assert front_end.shift.unique().tolist() == [0.5]
    assert front_end.level is None
    assert blueprint.text_file() == published.parent / "omni"


def test_a_folder_of_the_front_end_will_do(published: Path) -> None:
    blueprint = changed(published, lambda file: file["parts"].update(speech_front_end="omni"))
    assert blueprint.front_end_file() == published.parent / "omni" / "am.mvn"


def test_sizes_of_a_published_part_can_be_overridden(published: Path) -> None:
    def fewer_layers(file: dict[str, Any]) -> None:
        file["parts"]["backbone"] = {"path": "omni", "config": {"num_hidden_layers": 1}}

    part = changed(published, fewer_layers).backbone()
    assert len(part.network.model.layers) == 1
    assert any("model.layers.1." in problem and "is not part" in problem for problem in part.examine().problems)


def test_a_dtype_may_be_named_by_part(published: Path) -> None:
    def halves(file: dict[str, Any]) -> None:
        file["parts"]["image_tokenizer"] = {"path": "magvitv2", "dtype": "float16"}
        file["dtype"] = "auto"

    blueprint = changed(published, halves)
    assert blueprint.image_tokenizer().dtype == torch.float16
    assert blueprint.image_tokenizer().allow_mixed
    assert blueprint.backbone().dtype is None
    assert blueprint.vocoder().dtype == torch.float32
    assert not blueprint.vocoder().allow_mixed


def test_parts_may_be_left_out(ours: Path) -> None:
    assert [name for name, _ in Blueprint.read(ours).networks()] == ["backbone", "image_tokenizer"]


def test_a_vocabulary_of_another_size(ours: Path) -> None:
    def larger(file: dict[str, Any]) -> None:
        file["vocabulary"]["image"][1] += 5

    problems = changed(ours, larger).backbone().examine().problems
    assert any("embeddings for" in problem and "the vocabulary has" in problem for problem in problems)


def test_a_special_token_that_is_missing(ours: Path) -> None:
    problems = changed(ours, lambda file: file["vocabulary"]["special"].pop("<|mask|>")).backbone().examine().problems
    assert any("<|mask|>" in problem for problem in problems)


def test_an_image_tokenizer_of_another_model(ours: Path) -> None:
    def smaller(file: dict[str, Any]) -> None:
        file["parts"]["image_tokenizer"]["config"]["codebook_dim"] = 5

    problems = changed(ours, smaller).image_tokenizer().examine().problems
    assert any("32 codes" in problem and "64 ids" in problem for problem in problems)


@pytest.mark.parametrize("size", [0, -8, 83, {"prompt": 80, "answer": 81}])
def test_a_picture_that_is_no_grid_of_codes(ours: Path, size: object) -> None:
    problems = changed(ours, lambda file: file.update(image_size_px=size)).image_tokenizer().examine().problems
    assert any("is no multiple of 8" in problem for problem in problems)


def test_a_speech_encoder_that_takes_other_rows(ours: Path) -> None:
    def narrow(file: dict[str, Any]) -> None:
        file["parts"]["backbone"]["speech_encoder"]["input_size"] = 80

    problems = changed(ours, narrow).backbone().examine().problems
    assert any("rows of 80 values" in problem for problem in problems)


def test_speech_parts_of_another_model(published: Path) -> None:
    def smaller(file: dict[str, Any]) -> None:
        file["parts"]["speech_tokenizer"] = {"path": "glm-4-voice-tokenizer", "config": {"quantize_vocab_size": 64}}
        file["parts"]["speech_decoder"] = {"path": "glm-4-voice-decoder", "config": {"flow": {"vocab_size": 32}}}

    blueprint = changed(published, smaller)
    assert any("64 codes" in problem for problem in blueprint.speech_tokenizer().examine().problems)
    assert any("32 codes" in problem for problem in blueprint.speech_flow().examine().problems)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_attention_heads": 0}, ["no network can be built"]),
        ({"hidden_size": -1}, ["no network can be built"]),
        ({"num_hidden_layers": "many"}, ["num_hidden_layers", "Correct it"]),
        ({"num_layers": 3}, ["unknown field num_layers", "num_hidden_layers"]),
        ({"hidden_size": None}, ["hidden_size"]),
    ],
)
def test_sizes_of_no_network(ours: Path, change: dict[str, Any], words: list[str]) -> None:
    blueprint = changed(ours, lambda file: file["parts"]["backbone"]["config"].update(change))
    with pytest.raises(CheckpointError) as caught:
        blueprint.backbone().examine()
    assert all(word in str(caught.value) for word in words)


def test_a_text_vocabulary_of_another_model(ours: Path) -> None:
    def longer(file: dict[str, Any]) -> None:
        file["vocabulary"]["text"][1] -= 1

    with pytest.raises(CheckpointError, match=r"tokenizer\.json: has \d+ tokens, the vocabulary gives text \d+ ids"):
        changed(ours, longer).text()


def test_a_damaged_text_vocabulary(ours: Path) -> None:
    file = ours.with_name("tokenizer.json")
    file.write_text(file.read_text()[:100])
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        Blueprint.read(ours).text()


@pytest.mark.parametrize("content", ["", "no rows", "[ 1 2 ]", "[ 1 2 ] [ 3 4 ]", "[ 1 x ] [ 3 4 ]", b"\xff\xfe"])
def test_a_damaged_front_end(ours: Path, content: str | bytes) -> None:
    ours.with_name("am.mvn").write_bytes(content.encode() if isinstance(content, str) else content)
    blueprint = changed(ours, lambda file: file["parts"].update(speech_front_end="am.mvn"))
    with pytest.raises(CheckpointError, match=r"am\.mvn"):
        blueprint.front_end()


def test_a_front_end_of_something_else(ours: Path) -> None:
    shutil.copy(ours.with_name("backbone.safetensors"), ours.with_name("speech_front_end.safetensors"))
    with pytest.raises(CheckpointError, match="instead of shift and scale"):
        Blueprint.read(ours).front_end()


def test_a_speech_decoder_without_one_of_its_files(published: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(published.parent / "glm-4-voice-decoder", tmp_path / "decoder")
    (folder / "hift.pt").unlink()
    blueprint = changed(published, lambda file: file["parts"].update(speech_decoder=str(folder)))
    assert blueprint.speech_flow().examine().problems == ()
    assert "hift.pt: no such file" in blueprint.vocoder().examine().problems[0]


def test_a_speech_decoder_that_is_no_folder(published: Path) -> None:
    blueprint = changed(published, lambda file: file["parts"].update(speech_decoder="omni/am.mvn"))
    with pytest.raises(CheckpointError, match=r"am\.mvn: no folder.*flow\.pt"):
        blueprint.vocoder()


def test_a_part_that_is_not_there_names_the_model_file(ours: Path) -> None:
    blueprint = changed(ours, lambda file: file["parts"].update(text="nowhere.json"))
    with pytest.raises(CheckpointError, match=r"changed\.json: parts: text: .*nowhere\.json: no such file"):
        blueprint.text()


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speaking")
    save_model(speaking_model(), folder, SPEECH_ENCODER)
    return folder / "model.json"


def test_a_voice_of_another_model(speaking: Path) -> None:
    def other(file: dict[str, Any]) -> None:
        file["parts"]["voice"]["config"] |= {"text_tokens": 7}
        file["parts"]["voice"]["config"]["codec"]["levels"] = [4, 4]
        file["parts"]["speech_decoder"] = "elsewhere"

    problems = changed(speaking, other).voice().examine().problems
    assert any("16 codes" in problem and "32 ids" in problem for problem in problems)
    assert any("how long 7 text tokens last" in problem for problem in problems)
    assert any("voice and speech_decoder both" in problem for problem in problems)


def test_a_voice_has_sizes_of_its_own(speaking: Path) -> None:
    def odd(file: dict[str, Any]) -> None:
        file["parts"]["voice"]["config"]["codec"]["colour"] = 3

    with pytest.raises(CheckpointError, match=r"voice: config: codec: unknown field colour; allowed: mels, levels"):
        changed(speaking, odd).voice()
