import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from runtime.models import checkpoints
from runtime.models.checkpoints import (
    CheckpointError,
    built_without_weights,
    examine,
    load_weights,
    read_weights,
    refuse,
    save_weights,
    write_tensors,
)
from runtime.models.weight_files import survey_weights
from tests.support.published_layout import write_shards


class Tied(nn.Module):
    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(size, 3)
        self.head = nn.Linear(3, size, bias=False)
        self.head.weight = self.embed.weight


class Buffered(nn.Module):
    """With a buffer in the weights and two that are computed, one of them not part of the state."""

    codes: Tensor
    window: Tensor
    steps: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.scale = nn.Parameter(torch.ones(3), requires_grad=False)
        self.register_buffer("codes", torch.arange(4))
        self.register_buffer("window", torch.hann_window(8), persistent=False)
        self.register_buffer("steps", 1.0 / 10 ** (torch.arange(0, 4).float() / 4), persistent=False)


def weights(size: int = 4, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    return {"embed.weight": torch.arange(3.0 * size).reshape(size, 3).to(dtype)}


def save(tensors: Mapping[str, Tensor], path: Path) -> Path:
    save_file(dict(tensors), path)
    return path


def test_round_trip_keeps_ties(tmp_path: Path) -> None:
    saved, loaded = Tied(), Tied()
    save_weights(saved, tmp_path / "w.safetensors")
    load_weights(loaded, tmp_path / "w.safetensors")
    assert torch.allclose(saved.embed.weight, loaded.embed.weight, atol=1e-3)
    assert loaded.head.weight is loaded.embed.weight


def test_a_network_built_for_it_gets_the_tensors_themselves(tmp_path: Path) -> None:
    network = load_weights(Tied, save(weights(dtype=torch.bfloat16), tmp_path / "w.safetensors"))
    assert network.head.weight is network.embed.weight
    assert network.embed.weight.dtype == torch.bfloat16
    assert network.embed.weight.requires_grad
    assert network.embed.weight[3].tolist() == [9.0, 10.0, 11.0]


def mapped_bytes(path: Path) -> bool:
    return str(path) in Path("/proc/self/maps").read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells of mappings on Linux alone")
@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_weights_are_mapped_unless_they_are_converted(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    torch.save(weights(), path) if path.suffix == ".pt" else save(weights(), path)
    network = load_weights(Tied, path)
    assert mapped_bytes(path)
    del network
    converted = load_weights(Tied, path, torch.bfloat16)
    assert not mapped_bytes(path)
    assert converted.embed.weight.dtype == torch.bfloat16


def test_one_that_has_memory_keeps_it_and_its_dtype(tmp_path: Path) -> None:
    network = Tied()
    place = network.embed.weight
    load_weights(network, save(weights(dtype=torch.float16), tmp_path / "w.safetensors"))
    assert network.embed.weight is place
    assert place.dtype == torch.float32
    assert place[3].tolist() == [9.0, 10.0, 11.0]


def test_shards_fill_one_network(tmp_path: Path) -> None:
    saved = Buffered()
    write_shards(tmp_path, saved.state_dict(), 3)
    loaded = load_weights(Buffered, tmp_path)
    assert loaded.state_dict().keys() == saved.state_dict().keys()
    assert all(torch.equal(loaded.state_dict()[name], tensor) for name, tensor in saved.state_dict().items())


def test_computed_buffers_are_right_and_stored_ones_are_the_files(tmp_path: Path) -> None:
    saved = Buffered()
    saved.codes += 5
    saved.linear.weight.data += 1
    save_weights(saved, tmp_path / "w.safetensors", torch.bfloat16)
    loaded = load_weights(Buffered, tmp_path / "w.safetensors")
    assert torch.equal(loaded.codes, torch.arange(5, 9))
    assert torch.equal(loaded.window, saved.window)
    assert torch.equal(loaded.steps, saved.steps)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    assert not loaded.scale.requires_grad


def test_a_system_that_takes_no_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    network = load_weights(Tied, save(weights(), tmp_path / "w.safetensors"))
    assert network.embed.weight[3].tolist() == [9.0, 10.0, 11.0]


def test_nothing_is_allocated_for_parameters() -> None:
    network = built_without_weights(lambda: nn.Sequential(nn.Embedding(10**9, 4096), nn.Linear(10**6, 10**6)))
    assert all(parameter.is_meta for parameter in network.parameters())


def test_a_buffer_that_nothing_computes_is_a_mistake_of_ours(tmp_path: Path) -> None:
    class Forgotten(Buffered):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.empty(3), persistent=False)

    save_weights(Buffered(), tmp_path / "w.safetensors")
    with pytest.raises(RuntimeError, match="mask are neither in the weights nor computed"):
        load_weights(Forgotten, tmp_path / "w.safetensors")


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.safetensors: no such file"):
        load_weights(Tied(), tmp_path / "gone.safetensors")


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(Tied(), path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="damaged"):
        load_weights(Tied(), path)
    with pytest.raises(CheckpointError, match="damaged"):
        read_weights(path)


def test_every_misfit_is_said_in_words(tmp_path: Path) -> None:
    path = save({"embed.weight": torch.zeros(5, 3), "extra": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="extra is not part of this network") as caught:
        load_weights(Tied(), path)
    assert "embed.weight has shape (5, 3), the config asks for (4, 3)" in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_tensor(tmp_path: Path) -> None:
    path = save({"linear.weight": torch.zeros(2, 3), "codes": torch.arange(4)}, tmp_path / "w.safetensors")
    problems = examine(built_without_weights(Buffered), survey_weights(path)).problems
    assert problems == (f"{path}: linear.bias is missing.", f"{path}: scale is missing.")


def test_an_index_of_nothing_misses_everything(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {}}')
    with pytest.raises(CheckpointError, match=r"embed\.weight is missing"):
        load_weights(Tied, tmp_path)


@pytest.mark.parametrize(
    ("name", "tensor", "words"),
    [
        ("linear.bias", torch.zeros(2, dtype=torch.int8), "linear.bias is int8, where float32 belongs"),
        ("codes", torch.zeros(4), "codes is float32, where int64 belongs"),
        ("linear.bias", torch.zeros(2, dtype=torch.bfloat16), "mixes "),
        ("linear.bias", torch.zeros(2, dtype=torch.float64), "holds float64 (linear.bias), which is not computed in"),
    ],
)
def test_a_wrong_dtype(name: str, tensor: Tensor, words: str, tmp_path: Path) -> None:
    path = save({**Buffered().state_dict(), name: tensor}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError) as caught:
        load_weights(Buffered, path)
    assert words in str(caught.value)


def test_mixed_dtypes_are_taken_where_they_are_meant(tmp_path: Path) -> None:
    mixed = {**Buffered().state_dict(), "linear.bias": torch.ones(2, dtype=torch.bfloat16)}
    path = save(mixed, tmp_path / "w.safetensors")
    loaded = load_weights(Buffered, path, torch.float32, allow_mixed=True)
    assert loaded.linear.bias.tolist() == [1.0, 1.0]
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    with pytest.raises(CheckpointError, match=r"mixes .*bfloat16 \(linear\.bias\)"):
        load_weights(Buffered, path, torch.float32)


def test_nothing_is_changed_when_something_does_not_fit(tmp_path: Path) -> None:
    network = Tied()
    before = network.embed.weight.clone()
    path = save(weights() | {"extra": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError):
        load_weights(network, path)
    assert torch.equal(network.embed.weight, before)


def test_what_an_examination_tells(tmp_path: Path) -> None:
    write_shards(tmp_path, Buffered().half().state_dict(), 2)
    found = examine(built_without_weights(Buffered), survey_weights(tmp_path), torch.float32)
    assert found.problems == ()
    assert (found.num_tensors, found.dtypes, len(found.files)) == (4, (torch.float16,), 2)
    assert found.num_bytes == 2 * (6 + 2 + 3) + 8 * 4
    assert found.memory_bytes == 4 * (6 + 2 + 3) + 8 * 4


def test_only_some_problems_are_told_at_once() -> None:
    refuse([])
    with pytest.raises(CheckpointError, match=r"^a\. b\. c\. d\. e\. And 2 more\. `omni models verify`"):
        refuse([f"{letter}." for letter in "abcdefg"])


def test_a_file_that_is_mapped_can_be_written_anew(tmp_path: Path) -> None:
    path = save(weights(), tmp_path / "w.safetensors")
    network = load_weights(Tied, path)
    write_tensors(weights(size=1000), path)
    assert network.embed.weight[3].tolist() == [9.0, 10.0, 11.0]
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]


def test_a_file_that_cannot_be_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(_: Path) -> object:
        raise RuntimeError("unable to mmap\n4 bytes")

    path = save(weights(), tmp_path / "w.safetensors")
    monkeypatch.setattr(checkpoints, "mapped_tensors", no_memory)
    with pytest.raises(CheckpointError, match=r"w\.safetensors: cannot be mapped .*unable to mmap 4 bytes"):
        load_weights(Tied, path)


def test_any_damage_ends_in_words_before_anything_changes(tmp_path: Path) -> None:
    """Or, where the damage is within the numbers, in a network."""
    path = save(weights(), tmp_path / "w.safetensors")
    whole = path.read_bytes()

    @given(st.integers(0, len(whole)), st.binary(max_size=8), st.integers(0, 16))
    def check(start: int, middle: bytes, skipped: int) -> None:
        path.write_bytes(whole[:start] + middle + whole[start + skipped :])
        network = built_without_weights(Tied)
        try:
            load_weights(network, path)
        except CheckpointError as error:
            assert str(path) in str(error)  # noqa: PT017 - both ends are fine
            assert network.embed.weight.is_meta

    check()
