"""Loading a checkpoint in the published layout, beside reading the same bytes from disk in the same run; `omni bench
loading`.

The checkpoint is written for it, with the published widths and as many layers as its size asks for, and is loaded by
a fresh process. What is measured holds for the disk and the memory of this machine.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from safetensors.torch import save_file
from torch import Tensor

from runtime.models.backbone import Backbone, BackboneConfig
from runtime.models.checkpoints import built_without_weights, load_weights
from runtime.models.published import BACKBONE, OUR_FIELDS, SPEECH_ENCODER, published_backbone, published_speech_encoder
from runtime.models.weight_files import survey_weights

ROWS = 16_384  # tokens of the vocabulary; the published 176,264 alone would take 2.5 GB
SHARD_BYTES = 500_000_000
PAGE_BYTES = 4096
CHUNK_BYTES = 16_000_000


@dataclass(frozen=True)
class LoadTimes:
    """Seconds.

    ready: networks built, every header checked, every weight in its place, mapped; a page is read when it is used.
    all_read: ready, and every page of the weights has been used once. plain_read: the files read by read() instead.
    """

    ready: float
    all_read: float
    plain_read: float

    @property
    def ratio(self) -> float:
        return self.all_read / self.plain_read


@dataclass(frozen=True)
class LoadFigures:
    """cold: nothing of the files in the system's page cache; warm: all of it.

    peak_bytes: the most the loading process had resident, mapped pages of the weight files among it.
    before_bytes: the same before it began to load, which is Python and torch. private_bytes: what was resident at the
    end and is no page of a file. peak_ratio: peak_bytes beside the weights' bytes, peak_ratio_of_load: without before.
    """

    weights_bytes: int
    files: int
    tensors: int
    cold: LoadTimes
    warm: LoadTimes
    before_bytes: int
    peak_bytes: int
    private_bytes: int
    peak_ratio: float
    peak_ratio_of_load: float


@dataclass(frozen=True)
class Loaded:
    """What the loading process tells of itself."""

    ready: float
    all_read: float
    before_bytes: int
    peak_bytes: int
    private_bytes: int


def measure_loading(folder: Path) -> LoadFigures:
    """folder: of a checkpoint in the published layout."""
    survey = survey_weights(folder)
    cold, first = _measured(folder, survey.files, evict=True)
    warm, _ = _measured(folder, survey.files, evict=False)
    return LoadFigures(
        weights_bytes=survey.num_bytes,
        files=len(survey.files),
        tensors=len(survey.tensors),
        cold=cold,
        warm=warm,
        before_bytes=first.before_bytes,
        peak_bytes=first.peak_bytes,
        private_bytes=first.private_bytes,
        peak_ratio=first.peak_bytes / survey.num_bytes,
        peak_ratio_of_load=(first.peak_bytes - first.before_bytes) / survey.num_bytes,
    )


def _measured(folder: Path, files: tuple[Path, ...], *, evict: bool) -> tuple[LoadTimes, Loaded]:
    if evict:
        _evict(files)
    command = [sys.executable, "-m", "runtime.benchmarks.loading", str(folder)]
    loaded = Loaded(**json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    if evict:
        _evict(files)
    started = time.perf_counter()
    for file in files:
        _read(file)
    return LoadTimes(loaded.ready, loaded.all_read, time.perf_counter() - started), loaded


def _evict(files: tuple[Path, ...]) -> None:
    """Out of the page cache, where the system lets us."""
    for file in files:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read(file: Path) -> None:
    chunk = bytearray(CHUNK_BYTES)
    with file.open("rb", buffering=0) as opened:
        while opened.readinto(chunk):
            pass


def load(folder: Path) -> Loaded:
    """What the child process does."""
    before = peak_resident_bytes()
    config, speech = published_backbone(folder, {}), published_speech_encoder(folder, {})
    started = time.perf_counter()
    backbone = load_weights(lambda: Backbone(config, speech), folder)
    ready = time.perf_counter() - started
    for parameter in backbone.parameters():
        _use(parameter.detach())
    all_read = time.perf_counter() - started
    return Loaded(ready, all_read, before, peak_resident_bytes(), private_bytes())


def _use(weights: Tensor) -> None:
    """One byte of every page."""
    int(weights.flatten().view(torch.uint8)[::PAGE_BYTES].sum())


def peak_resident_bytes() -> int:
    """Of this process. On Linux from /proc, since there getrusage also counts what the parent had before the fork."""
    peak = _status("VmHWM")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak or used * (1 if sys.platform == "darwin" else 1024)


def private_bytes() -> int:
    """Resident and no page of a file; 0 where the system does not tell."""
    return _status("RssAnon")


def _status(field: str) -> int:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


def write_checkpoint(folder: Path, config: BackboneConfig, shard_bytes: int = SHARD_BYTES) -> None:
    """A backbone with noise for weights, in bfloat16 shards with index and config, as the published one lies on disk.

    The speech encoder has its published sizes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = built_without_weights(lambda: Backbone(config, SPEECH_ENCODER))
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    shards = list(_shards(shapes, shard_bytes))
    weight_map: dict[str, str] = {}
    for i, names in enumerate(shards, 1):
        file = f"model-{i:05}-of-{len(shards):05}.safetensors"
        save_file({name: _noise(shapes[name]) for name in names}, folder / file)
        weight_map |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": sum(map(_num_bytes, shapes.values()))}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    sizes = {name: value for name, value in asdict(config).items() if name not in OUR_FIELDS}
    (folder / "config.json").write_text(json.dumps({"model_type": "Dream", "torch_dtype": "bfloat16", **sizes}))


def config_of_size(num_bytes: int) -> BackboneConfig:
    """Published widths, a small vocabulary and the layers it takes to reach `num_bytes` in bfloat16."""
    empty, one = (_network_bytes(replace(BACKBONE, vocab_size=ROWS, num_hidden_layers=n)) for n in (0, 1))
    layers = max(1, -(-(num_bytes - empty) // (one - empty)))
    return replace(BACKBONE, vocab_size=ROWS, num_hidden_layers=layers)


def _network_bytes(config: BackboneConfig) -> int:
    network = built_without_weights(lambda: Backbone(config, SPEECH_ENCODER))
    return sum(_num_bytes(tuple(tensor.shape)) for tensor in network.state_dict().values())


def _shards(shapes: Mapping[str, tuple[int, ...]], shard_bytes: int) -> Iterator[list[str]]:
    names: list[str] = []
    filled = 0
    for name, shape in shapes.items():
        if names and filled + _num_bytes(shape) > shard_bytes:
            yield names
            names, filled = [], 0
        names.append(name)
        filled += _num_bytes(shape)
    yield names


def _num_bytes(shape: tuple[int, ...]) -> int:
    return 2 * int(torch.Size(shape).numel())


def _noise(shape: tuple[int, ...]) -> Tensor:
    """Values that no file system can squeeze; a million of them, repeated."""
    tile = torch.randint(-(2**15), 2**15, (1_000_003,), dtype=torch.int16)
    number = torch.Size(shape).numel()
    return tile.repeat(-(-number // len(tile)))[:number].view(torch.bfloat16).reshape(shape)


@click.command("loading")
@click.option("--gigabytes", type=click.FloatRange(min=0.5), default=2.0, show_default=True, help="Size at least.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write the checkpoint into, on the disk to be measured; it is deleted afterwards.  [default: the "
    "system's folder for temporary files]",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def loading(gigabytes: float, cache: Path | None, json_file: Path | None) -> None:
    """Time and memory of loading a checkpoint in the published layout."""
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    num_bytes = int(gigabytes * 1e9)
    with TemporaryDirectory(prefix="omni-checkpoint-", dir=cache) as folder:
        if shutil.disk_usage(folder).free < 1.5 * num_bytes:
            raise click.ClickException(f"{folder} has no room for {gigabytes} GB; name another folder with --cache")
        write_checkpoint(Path(folder), config_of_size(num_bytes))
        figures = measure_loading(Path(folder))
    click.echo(
        f"{figures.weights_bytes / 1e9:.2f} GB of bfloat16 weights, {figures.tensors} tensors in {figures.files} files"
    )
    for name, times in (("cold", figures.cold), ("warm", figures.warm)):
        click.echo(
            f"{name}: ready {times.ready:7.2f} s, every page used {times.all_read:7.2f} s, "
            f"the same bytes by read() {times.plain_read:7.2f} s, ratio {times.ratio:.2f}"
        )
    click.echo(
        f"peak resident {figures.peak_bytes / 1e9:.2f} GB, mapped pages of the files counted: "
        f"{figures.peak_ratio:.3f} of the weights; {figures.before_bytes / 1e9:.2f} GB of it were there before, "
        f"{figures.peak_ratio_of_load:.3f} without; private at the end {figures.private_bytes / 1e9:.2f} GB"
    )
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n")


if __name__ == "__main__":
    print(json.dumps(asdict(load(Path(sys.argv[1])))))
