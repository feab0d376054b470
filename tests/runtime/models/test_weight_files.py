import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import save_file

from runtime.models.weight_files import (
    WEIGHT_NAMES,
    CheckpointError,
    find_weights,
    mapped_tensors,
    read_index,
    stored_tensors,
    survey_weights,
)
from tests.support.published_layout import write_shards

WEIGHTS = {
    "a.weight": torch.arange(12.0).reshape(3, 4),
    "b": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "half": torch.tensor(0.5, dtype=torch.float16),
    "codes": torch.tensor([[1], [2**40]]),
    "yes": torch.tensor([True, False, True]),
    "none": torch.zeros(0, 3),
}
KINDS = ["w.safetensors", "w.pt", "w.bin", "old.pth"]


def write(path: Path) -> None:
    if path.suffix == ".safetensors":
        save_file(WEIGHTS, path, metadata={"format": "pt"})
    else:
        torch.save(WEIGHTS, path, _use_new_zipfile_serialization=path.stem != "old")


@pytest.mark.parametrize("name", KINDS)
def test_what_was_written_is_found(name: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    stored, mapped = stored_tensors(tmp_path / name), dict(mapped_tensors(tmp_path / name))
    assert stored.keys() == mapped.keys() == WEIGHTS.keys()
    for key, tensor in WEIGHTS.items():
        assert (stored[key].shape, stored[key].dtype) == (tuple(tensor.shape), tensor.dtype)
        assert stored[key].num_bytes == tensor.numel() * tensor.itemsize
        assert mapped[key].dtype == tensor.dtype
        assert torch.equal(mapped[key], tensor)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_a_change_stays_in_this_process(name: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    before = (tmp_path / name).read_bytes()
    dict(mapped_tensors(tmp_path / name))["a.weight"].fill_(7)
    assert (tmp_path / name).read_bytes() == before


def test_numbers_that_lie_askew_are_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    header = json.dumps({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    header += b" " * (1 - len(header) % 2)  # an odd length
    path.write_bytes(len(header).to_bytes(8, "little") + header + torch.tensor([1.0, 2.0]).numpy().tobytes())
    assert len(header) % 2 == 1
    assert dict(mapped_tensors(path))["x"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("name", WEIGHT_NAMES)
def test_a_folder_is_searched_for_the_names_of_the_layouts(name: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert find_weights(tmp_path) == tmp_path / name


def test_a_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no weights here; one of model\.safetensors"):
        find_weights(tmp_path)
    assert "no weights here" in survey_weights(tmp_path).problems[0]


def test_shards_are_one(tmp_path: Path) -> None:
    write_shards(tmp_path, WEIGHTS, 3)
    survey = survey_weights(tmp_path)
    assert survey.problems == ()
    assert survey.tensors.keys() == WEIGHTS.keys()
    assert [file.name for file in survey.files] == [f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)]
    assert survey.num_bytes == sum(tensor.numel() * tensor.itemsize for tensor in WEIGHTS.values())


def test_every_damaged_shard_is_told(tmp_path: Path) -> None:
    write_shards(tmp_path, WEIGHTS, 3)
    (tmp_path / "model-00001-of-00003.safetensors").unlink()
    shard = tmp_path / "model-00003-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    first, second = survey_weights(tmp_path).problems
    assert "model-00001-of-00003.safetensors: no such file" in first
    assert "model-00003-of-00003.safetensors: damaged" in second


def test_an_index_that_names_what_the_shards_do_not_have(tmp_path: Path) -> None:
    write_shards(tmp_path, WEIGHTS, 2)
    path = tmp_path / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] |= {"extra": "model-00001-of-00002.safetensors", "b": "model-00001-of-00002.safetensors"}
    path.write_text(json.dumps(index))
    problems = survey_weights(tmp_path).problems
    assert len(problems) == 2
    assert any("names extra in model-00001-of-00002.safetensors, which does not hold it" in each for each in problems)
    assert any("names b in" in each for each in problems)


def test_a_tensor_in_two_shards(tmp_path: Path) -> None:
    write_shards(tmp_path, WEIGHTS, 2)
    save_file(WEIGHTS, tmp_path / "model-00002-of-00002.safetensors")
    assert any(
        "stands in model-00001-of-00002.safetensors as well" in each for each in survey_weights(tmp_path).problems
    )


@pytest.mark.parametrize("file", ["../secrets.bin", "/etc/passwd", "sub/model.safetensors", "notes.txt", ""])
def test_an_index_leads_nowhere_else(file: str, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"x": file}}))
    with pytest.raises(CheckpointError, match="a weight file lies beside its index"):
        read_index(path)


class Evil:
    """Would make a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return os.mkdir, (str(self._path),)


@pytest.mark.parametrize(
    "write_evil", [lambda x, f: torch.save({"a": x}, f), lambda x, f: f.write_bytes(pickle.dumps(x))]
)
def test_nothing_but_weights_is_ever_unpickled(write_evil: Callable[[Any, Path], object], tmp_path: Path) -> None:
    write_evil(Evil(tmp_path / "pwned"), tmp_path / "x.bin")
    (problem,) = survey_weights(tmp_path / "x.bin").problems
    assert "x.bin: a pickle of something else than weights" in problem
    assert not (tmp_path / "pwned").exists()
    assert "weights_only" not in problem  # torch's own advice is to run it


def test_a_pickle_names_what_it_asks_for(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear, tmp_path / "x.pt")
    assert "it asks for torch.nn.modules.linear.Linear" in survey_weights(tmp_path / "x.pt").problems[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([torch.zeros(1)], "holds list instead of weights by name"),
        ({}, "holds dict instead of weights by name"),
        ({"step": 3}, "'step' is no tensor but int"),
        ({"model": {"a": torch.zeros(1)}}, "'model' is no tensor but dict"),
        ({3: torch.zeros(1)}, "3 is no tensor"),
    ],
)
def test_a_file_that_holds_more_than_weights(content: object, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    (problem,) = survey_weights(tmp_path / "x.pt").problems
    assert words in problem


@pytest.mark.parametrize("name", ["model.safetensors", "model.bin"])
def test_a_pointer_in_place_of_the_weights(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n")
    assert "git lfs pull" in survey_weights(tmp_path / name).problems[0]


@pytest.mark.parametrize("name", ["model.json", "model", "weights.txt"])
def test_a_file_of_another_kind(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("{}")
    assert "no weight file; its name must end in .safetensors, .bin" in survey_weights(tmp_path / name).problems[0]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"x": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, "x is stored as F4, which is not read here"),
        ({"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 7]}}, "puts x where it cannot lie"),
        ({"x": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}, "puts x where it cannot lie"),
        ({"x": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}}, "header cannot be read"),
        ({"x": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}, "it holds 8 bytes of weights"),
        ({"x": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]}}, "puts x where it cannot lie"),
        ({"x": {"shape": [2], "data_offsets": [0, 8]}}, "header cannot be read"),
        ([1, 2], "header cannot be read"),
    ],
)
def test_a_header_that_lies(header: object, words: str, tmp_path: Path) -> None:
    content = json.dumps(header).encode()
    (tmp_path / "x.safetensors").write_bytes(len(content).to_bytes(8, "little") + content + bytes(8))
    (problem,) = survey_weights(tmp_path / "x.safetensors").problems
    assert words in problem


# What is wrong with a file may be anything; what comes of it is always a problem in words, or its tensors.


@st.composite
def spoilt(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file cut short, with bytes changed, or with bytes put in."""
    start = draw(st.integers(0, len(whole)))
    middle = draw(st.binary(max_size=12))
    skipped = draw(st.integers(0, 40))
    return whole[:start] + middle + (whole[start + skipped :] if draw(st.booleans()) else b"")


def surveyed(path: Path) -> None:
    survey = survey_weights(path)
    assert survey.problems or survey.tensors or path.suffix == ".safetensors"  # a header may name no tensor
    assert all(str(path.parent) in problem for problem in survey.problems)
    if not survey.problems:
        for file in survey.files:
            assert {name for name, _ in mapped_tensors(file)} <= survey.tensors.keys()


@pytest.mark.parametrize("name", KINDS)
def test_any_damage_is_told_in_words(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write(path)

    @given(spoilt(path.read_bytes()))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        surveyed(path)

    check()


@pytest.mark.parametrize("name", ["x.safetensors", "x.pt"])
def test_any_bytes_are_told_in_words(name: str, tmp_path: Path) -> None:
    path = tmp_path / name

    @given(st.binary(max_size=200))
    @example(b"")
    @example(bytes(8))
    @example((2**63).to_bytes(8, "little") + b"{}")
    @example((2).to_bytes(8, "little") + b"{}")
    @example((100_000).to_bytes(8, "little") + b"[" * 100_000)
    def check(content: bytes) -> None:
        path.write_bytes(content)
        surveyed(path)

    check()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_any_json_as_an_index(tmp_path: Path) -> None:
    write_shards(tmp_path, WEIGHTS, 1)
    path = tmp_path / "model.safetensors.index.json"
    shards = st.sampled_from(["model-00001-of-00001.safetensors", "other.safetensors", "..", "\x00.bin"]) | st.text(
        max_size=5
    )
    maps = st.dictionaries(st.sampled_from(["b", "c"]) | st.text(max_size=3), shards, max_size=3)

    @given(JSON | st.fixed_dictionaries({"weight_map": maps | JSON}), st.integers(0, 30))
    @example({"weight_map": {}}, 0)
    def check(index: object, cut: int) -> None:
        text = json.dumps(index)
        path.write_text(text[: len(text) - cut] if cut > 20 else text)
        survey = survey_weights(tmp_path)
        assert all(str(tmp_path) in problem for problem in survey.problems)

    check()


def test_json_without_end_as_an_index(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": ' + "[" * 200_000)
    assert "no index of weight files" in survey_weights(tmp_path).problems[0]


def test_any_json_as_a_header(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    entries = st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["F32", "BF16", "U8", "F8_E4M3", "I64", "X"]) | st.text(max_size=3),
            "shape": st.lists(st.integers(-1, 3) | st.integers(), max_size=3),
            "data_offsets": st.tuples(st.integers(-1, 24), st.integers(-1, 24)) | st.lists(st.integers(), max_size=3),
        }
    )

    @given(
        st.dictionaries(st.text(max_size=3) | st.just("__metadata__"), entries | JSON, max_size=3), st.integers(0, 40)
    )
    @example({"x": {"dtype": "F8_E4M3", "shape": [2, 2], "data_offsets": (0, 4)}}, 4)
    @example({"x": {"dtype": "F32", "shape": [], "data_offsets": (0, 4)}}, 4)
    def check(header: object, num_bytes: int) -> None:
        content = json.dumps(header).encode()
        path.write_bytes(len(content).to_bytes(8, "little") + content + bytes(num_bytes))
        surveyed(path)

    check()
