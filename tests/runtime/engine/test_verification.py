import json
from dataclasses import asdict
from pathlib import Path

import pytest
from torch import nn

from runtime.engine.model import save_model
from runtime.engine.plan import published_networks
from runtime.engine.verification import PartReport, verify
from runtime.models.checkpoints import CheckpointError
from runtime.models.published import BACKBONE
from runtime.models.weight_files import DTYPES
from tests.support.published_layout import MODEL_FILE, write_published
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tiny_model(), tmp_path / "model", SPEECH_ENCODER)
    return tmp_path / "model"


def by_name(path: Path) -> dict[str, PartReport]:
    return {report.name: report for report in verify(path)}


def test_a_whole_model(folder: Path) -> None:
    reports = by_name(folder)
    assert list(reports) == ["backbone", "image_tokenizer", "speech_front_end", "text"]
    assert not any(report.problems for report in reports.values())
    assert reports["backbone"].dtypes == ("float16",)
    assert reports["backbone"].num_tensors > 30
    for report in reports.values():
        assert report.files
        assert 0.9 < report.num_bytes / sum(file.stat().st_size for file in report.files) <= 1


def test_one_bad_part_does_not_hide_another(folder: Path) -> None:
    (folder / "backbone.safetensors").unlink()
    (folder / "tokenizer.json").write_text("{}")
    (folder / "speech_front_end.safetensors").write_bytes(b"x")
    reports = by_name(folder)
    assert "no such file" in reports["backbone"].problems[0]
    assert reports["image_tokenizer"].problems == ()
    assert "tokenizer.json" in reports["text"].problems[0]
    assert "speech_front_end.safetensors: damaged" in reports["speech_front_end"].problems[0]


def test_sizes_and_vocabulary_and_weights_are_told_together(folder: Path) -> None:
    file = json.loads((folder / "model.json").read_text())
    file["parts"]["backbone"]["config"]["vocab_size"] += 1
    (folder / "model.json").write_text(json.dumps(file))
    problems = by_name(folder)["backbone"].problems
    assert any("the vocabulary has" in problem for problem in problems)
    assert any("model.embed_tokens.weight has shape" in problem for problem in problems)


def test_the_model_file_itself_must_be_read(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no model\.json here"):
        verify(tmp_path)


def test_nothing_is_fetched_to_verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hub_folder(name: str, needs: tuple[str, ...], revision: str | None = None, download: bool = True) -> Path:
        assert not download
        raise CheckpointError(f"{name} is not here")

    monkeypatch.setattr("runtime.engine.model_file.hub_folder", hub_folder)
    (tmp_path / "model.json").write_text(json.dumps(MODEL_FILE | {"parts": dict.fromkeys(MODEL_FILE["parts"], "a/b")}))
    reports = by_name(tmp_path)
    assert len(reports) == 7
    assert all("a/b is not here" in report.problems[0] for report in reports.values())


def sparse_weights(path: Path, tensors: dict[str, tuple[str, list[int]]]) -> None:
    """A safetensors file of full size whose numbers were never written and take no room on the disk."""
    header, stop = {}, 0
    for name, (dtype, shape) in tensors.items():
        start, stop = stop, stop + DTYPES[dtype].itemsize
        for size in shape:
            stop = start + (stop - start) * size
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}
    content = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        file.truncate(8 + len(content) + stop)


def stored(network: nn.Module, floating: str) -> dict[str, tuple[str, list[int]]]:
    return {
        name: (floating if tensor.is_floating_point() else "I64", list(tensor.shape))
        for name, tensor in network.state_dict().items()
    }


def test_the_published_checkpoint_at_its_own_size(tmp_path: Path) -> None:
    """16 GB of weights, judged by their headers alone."""
    path = write_published(tmp_path)
    networks = published_networks()
    large, image = tmp_path / "large", tmp_path / "image"
    large.mkdir()
    image.mkdir()
    sizes = {name: value for name, value in asdict(BACKBONE).items() if name != "image_grid"}
    (large / "config.json").write_text(json.dumps(sizes))
    sparse_weights(large / "model.safetensors", stored(networks["backbone"], "BF16"))
    sparse_weights(image / "pytorch_model.safetensors", stored(networks["image_tokenizer"], "F32"))
    file = json.loads(path.read_text())
    file["parts"] |= {"backbone": "large", "image_tokenizer": "image"}
    path.write_text(json.dumps(file))
    reports = by_name(path)
    assert not any(report.problems for report in reports.values())
    assert (reports["backbone"].num_tensors, reports["image_tokenizer"].num_tensors) == (1260, 382)
    assert reports["backbone"].num_bytes > 16e9
