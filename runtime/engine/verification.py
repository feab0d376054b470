"""Whether a model can be loaded, told part by part from the headers of its files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime.engine.blueprint import VOCABULARY, Blueprint, NetworkPart
from runtime.models.checkpoints import CheckpointError


@dataclass(frozen=True)
class PartReport:
    """What was found of a part. dtypes: of its floating-point tensors, as stored. No problems: it can be loaded."""

    name: str
    files: tuple[Path, ...] = ()
    num_tensors: int = 0
    num_bytes: int = 0
    dtypes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def verify(path: Path) -> tuple[PartReport, ...]:
    """A report a part of the model file, or of the folder that holds it; nothing is fetched and no weight is read.

    Raises CheckpointError when the model file itself cannot be read.
    """
    return tuple(_reports(Blueprint.read(path, download=False)))


def _reports(blueprint: Blueprint) -> Iterator[PartReport]:
    for name, find in blueprint.networks():
        yield _network(name, find)
    yield _small("speech_front_end", blueprint.front_end_file, blueprint.front_end)
    yield _small("text", blueprint.text_file, blueprint.text)


def _network(name: str, find: Callable[[], NetworkPart[Any]]) -> PartReport:
    try:
        found = find().examine()
    except CheckpointError as error:
        return PartReport(name, problems=(str(error),))
    dtypes = tuple(str(dtype).removeprefix("torch.") for dtype in found.dtypes)
    return PartReport(name, found.files, found.num_tensors, found.num_bytes, dtypes, found.problems)


def _small(name: str, locate: Callable[[], Path], read: Callable[[], object]) -> PartReport:
    """A part without a network is so small that it is simply read."""
    try:
        path = locate()
        read()
    except CheckpointError as error:
        return PartReport(name, problems=(str(error),))
    files = tuple(path / file for file in VOCABULARY if (path / file).is_file()) if path.is_dir() else (path,)
    return PartReport(name, files, num_bytes=sum(file.stat().st_size for file in files))
