from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runtime.models.config_files import checked, overridden, read_fields
from runtime.models.weight_files import CheckpointError


@dataclass(frozen=True)
class Stage:
    widths: tuple[int, ...]
    rate: float = 0.1


@dataclass(frozen=True)
class Sizes:
    stage: Stage
    layers: int = 2


class File(msgspec.Struct):
    name: str
    sizes: Sizes | None = None
    kind: Literal["small", "large"] = "small"
    source: str | Stage = "here"
    words: Literal["published"] | Stage = "published"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", '{"layers": 3, "rate": 1e-6}'),
        ("c.yaml", "layers: 3\nrate: 1e-6\n"),
        ("c.yml", "{layers: 3, rate: 1.0e-6}"),
    ],
)
def test_json_and_yaml_hold_the_same(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    stage = checked({"widths": [1], "rate": read_fields(tmp_path / name)["rate"]}, Stage, "c")
    assert stage == Stage((1,), 1e-6)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("c.json", "{", "no valid JSON"),
        ("c.json", '{"a": 1,}', "no valid JSON"),
        ("c.json", "[1]", "holds no named fields"),
        ("c.json", "[" * 100_000, "no valid JSON"),
        ("c.yaml", "a: [", "no valid YAML"),
        ("c.yaml", "just words", "holds no named fields"),
        ("c.yaml", "3: x", "holds no named fields"),
        ("c.yaml", "a: !!python/object/apply:os.system ['true']", "no valid YAML"),
    ],
)
def test_what_is_no_config(name: str, content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        read_fields(tmp_path / name)
    assert name in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"c\.json: cannot be read"):
        read_fields(tmp_path / "c.json")


def test_fields_of_records_inside_records() -> None:
    raw = {"name": "n", "sizes": {"stage": {"widths": [1, 2]}}, "source": {"widths": []}}
    assert checked(raw, File, "f") == File("n", Sizes(Stage((1, 2))), source=Stage(()))


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"nickname": "n"}, ["f: unknown field nickname", "allowed: name, sizes, kind, source, words"]),
        ({"name": "n", "sizes": {"stag": {}}}, ["f: sizes: unknown field stag", "allowed: stage, layers"]),
        ({"name": "n", "source": {"width": 1}}, ["f: source: unknown field width", "widths"]),
        ({"name": "n", "kind": "huge"}, ["f: kind: 'huge' is not known", "small, large"]),
        ({"name": "n", "words": "mine"}, ["f: words: 'mine' is not known", "published"]),
        ({"name": "n", "sizes": {"stage": {"widths": "many"}}}, ["f: ", "widths"]),
        ({}, ["f: ", "name"]),
        ("name", ["f: "]),
        (None, ["f: "]),
    ],
)
def test_a_refusal_tells_what_is_allowed(raw: object, words: list[str]) -> None:
    with pytest.raises(CheckpointError) as caught:
        checked(raw, File, "f")
    assert all(word in str(caught.value) for word in words)


def test_overrides_reach_inside() -> None:
    sizes = Sizes(Stage((1, 2), 0.5))
    assert overridden(sizes, {}, "f") == sizes
    assert overridden(sizes, {"layers": 4, "stage": {"widths": [3]}}, "f") == Sizes(Stage((3,), 0.5), 4)
    with pytest.raises(CheckpointError, match="f: stage: unknown field width"):
        overridden(sizes, {"stage": {"width": [3]}}, "f")


@pytest.mark.parametrize("name", ["c.json", "c.yaml"])
def test_anything_ends_in_fields_or_in_words(name: str, tmp_path: Path) -> None:
    path = tmp_path / name

    @given(st.binary(max_size=60) | st.text(alphabet='{}[]:,"&*!- \n#|>%ab1.', max_size=60).map(str.encode))
    @example(b"a: &a [*a]")
    @example(b"&a {a: *a}")
    @example(b"a: 2001-01-01\n")
    @example(b"? [1]\n: 2")
    def check(content: bytes) -> None:
        path.write_bytes(content)
        try:
            checked(read_fields(path), File, str(path))
        except CheckpointError as error:
            assert str(path) in str(error)  # noqa: PT017 - both ends are fine

    check()
