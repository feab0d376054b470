"""Reading a golden folder."""

import gzip
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from safetensors.torch import load_file
from torch import Tensor, nn

from runtime.evaluation.parity.case import Case, Comparison

C = TypeVar("C")


def read_json(path: Path) -> Any:
    """What a JSON file holds; one may be compressed and called `.json.gz`."""
    packed = path.with_name(f"{path.name}.gz")
    return json.loads(gzip.decompress(packed.read_bytes()) if packed.is_file() else path.read_text())


def has_json(path: Path) -> bool:
    return path.is_file() or path.with_name(f"{path.name}.gz").is_file()


def read_tensors(path: Path) -> dict[str, Tensor]:
    return load_file(path)


def config_of(kind: type[C], sizes: Mapping[str, Any]) -> C:
    """A config dataclass from the reference's mapping, which says more than we need."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{name: value for name, value in sizes.items() if name in names})


def numbered(tensors: Mapping[str, Tensor], prefix: str) -> Iterator[str]:
    """The names that follow `prefix`, in order: "pixels_0", "pixels_1" -> "0", "1"."""
    yield from sorted(name.removeprefix(prefix) for name in tensors if name.startswith(prefix))


def key_list(check: Comparison, network: nn.Module, path: Path, part: str | None = None) -> None:
    """Every key of a network has the shape the published list says, and there are no others.

    part: where the file holds several lists, the name of the one.
    """
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    listed = read_json(path) if part is None else read_json(path)[part]
    golden = {name: entry["shape"] if isinstance(entry, dict) else entry for name, entry in listed.items()}
    wrong = sorted(name for name in shapes.keys() | golden.keys() if shapes.get(name) != golden.get(name))
    check.same(f"names and shapes of {len(golden)} tensors", wrong, [])


def integrity(root: Path) -> Iterator[Case]:
    """The files are those of the folder's manifest, byte for byte."""
    manifest = root / "manifest.json"
    if not manifest.is_file():
        return
    listed = read_json(manifest)["files"]

    def check(comparison: Comparison) -> None:
        for entry in listed:
            path = root / entry["file"]
            if not path.is_file():
                comparison.same(entry["file"], "missing", "present")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != entry["sha256"]:
                comparison.same(entry["file"], "other bytes", "the bytes of the manifest")
        comparison.same(f"{len(listed)} files of the manifest", 0, 0)

    yield Case("manifest", check)
