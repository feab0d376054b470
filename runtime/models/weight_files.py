"""Weight files: what they hold, told by their headers alone, and their tensors, mapped into memory instead of read."""

import math
import os
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import torch
from torch import Tensor

# Where a folder keeps its weights; the first name that is there counts.
WEIGHT_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "diffusion_pytorch_model.bin",
)
PICKLED = (".bin", ".pt", ".pth")
INDEX = ".index.json"
MAX_HEADER_BYTES = 100_000_000  # as the safetensors format has it
READ_AHEAD_BYTES = 1 << 20  # Linux takes no more than about this at a time, and leaves the rest out
GIT_LFS_POINTER = b"version https://git-lfs"
COPY_AGAIN = "Copy the file again, or train the model again"

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class CheckpointError(ValueError):
    """A model that cannot be used; the message names the file, what is wrong and what to do."""


@dataclass(frozen=True)
class StoredTensor:
    """What a header tells of a tensor; `file` is where it lies."""

    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_values(self) -> int:
        return math.prod(self.shape)

    @property
    def num_bytes(self) -> int:
        return self.num_values * self.dtype.itemsize


@dataclass(frozen=True)
class WeightSurvey:
    """All that can be known of a part's weights without reading them.

    source: the weight file, or the index. files: all weight files that could be surveyed.
    problems: damage, each in a sentence that begins with the file.
    """

    source: Path
    files: tuple[Path, ...]
    tensors: Mapping[str, StoredTensor]
    problems: tuple[str, ...]

    @property
    def num_bytes(self) -> int:
        return sum(tensor.num_bytes for tensor in self.tensors.values())


def survey_weights(source: Path) -> WeightSurvey:
    """source: a folder with weights in the published layouts, a weight file, or the index of several.

    Never raises for what is wrong with the files; that stands in `problems`.
    """
    try:
        path = find_weights(source)
        listed = read_index(path) if path.name.endswith(INDEX) else None
    except CheckpointError as error:
        return WeightSurvey(source, (), {}, (str(error),))
    files = [path] if listed is None else [path.parent / name for name in dict.fromkeys(listed.values())]
    tensors: dict[str, StoredTensor] = {}
    problems: list[str] = []
    readable = []
    for file in files:
        try:
            found = stored_tensors(file)
        except CheckpointError as error:
            problems.append(str(error))
            continue
        problems += [
            f"{file}: {name} stands in {tensors[name].file.name} as well." for name in found if name in tensors
        ]
        tensors |= found
        readable.append(file)
    for name, shard in (listed or {}).items():
        file = path.parent / shard
        if file in readable and (name not in tensors or tensors[name].file != file):
            problems.append(f"{path}: names {name} in {shard}, which does not hold it; copy index and shards again.")
    return WeightSurvey(path, tuple(readable), tensors, tuple(problems))


def find_weights(source: Path) -> Path:
    """The weight file or index of a folder; a file stands for itself."""
    if not source.is_dir():
        return source
    for name in WEIGHT_NAMES:
        if (source / name).is_file():
            return source / name
    raise CheckpointError(f"{source}: no weights here; one of {', '.join(WEIGHT_NAMES)} belongs into this folder.")


def read_index(path: Path) -> dict[str, str]:
    """Tensor name -> file name, from the index of a checkpoint in several files."""
    try:
        index = msgspec.json.decode(_beginning(path, MAX_HEADER_BYTES), type=_Index)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: no index of weight files ({one_line(error)}). {COPY_AGAIN}.") from error
    for file in index.weight_map.values():
        if Path(file).name != file or not file.endswith((".safetensors", *PICKLED)):
            raise CheckpointError(
                f"{path}: names the file {file!r}; a weight file lies beside its index and ends in "
                f"{', '.join(('.safetensors', *PICKLED))}. {COPY_AGAIN}."
            )
    return index.weight_map


def stored_tensors(file: Path) -> dict[str, StoredTensor]:
    """What the file holds. Raises CheckpointError when it is missing or damaged."""
    if file.suffix == ".safetensors":
        return {
            name: StoredTensor(file, tuple(entry.shape), DTYPES[entry.dtype])
            for name, entry in _Header.read(file).entries.items()
        }
    return {name: StoredTensor(file, tuple(t.shape), t.dtype) for name, t in _unpickled(file).items()}


def mapped_tensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    """The file's tensors, mapped: a page is read when it is used, and a change stays in this process."""
    if file.suffix == ".safetensors":
        return _Header.read(file).tensors()
    return iter(_unpickled(file).items())


def read_ahead(file: Path) -> None:
    """Have the system read the file in large pieces; a mapped one it would fetch page by page."""
    if not hasattr(os, "posix_fadvise"):
        return
    with file.open("rb") as opened:
        for start in range(0, file.stat().st_size, READ_AHEAD_BYTES):
            os.posix_fadvise(opened.fileno(), start, READ_AHEAD_BYTES, os.POSIX_FADV_WILLNEED)


def one_line(error: BaseException) -> str:
    """What another library had to say, short enough to quote."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "…"


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


Size = Annotated[int, msgspec.Meta(ge=0)]


class _Entry(msgspec.Struct):
    """A tensor in a safetensors header; its bytes are [start, stop) after the header."""

    dtype: str
    shape: list[Size]
    data_offsets: tuple[Size, Size]


@dataclass(frozen=True)
class _Header:
    """The checked header of a safetensors file; num_bytes is its own length with the eight bytes before it."""

    file: Path
    num_bytes: int
    entries: Mapping[str, _Entry]

    @classmethod
    def read(cls, file: Path) -> "_Header":
        start = _beginning(file, 8)
        size = file.stat().st_size
        if start.startswith(GIT_LFS_POINTER[:8]):
            raise CheckpointError(f"{file}: a Git LFS pointer, not the weights. Get them with: git lfs pull")
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > min(size - 8, MAX_HEADER_BYTES):
            raise _damaged(file, f"its {size} bytes are too few for the header, or it is no safetensors file")
        header = cls(file, 8 + length, _entries(file, _beginning(file, 8 + length)[8:]))
        header._check(size - header.num_bytes)
        return header

    def _check(self, data_bytes: int) -> None:
        """The tensors must lie one behind the other and fill the file."""
        stop = 0
        for name, entry in sorted(self.entries.items(), key=lambda item: item[1].data_offsets):
            if entry.dtype not in DTYPES:
                raise CheckpointError(
                    f"{self.file}: {name} is stored as {entry.dtype}, which is not read here; "
                    f"allowed: {', '.join(DTYPES)}. Save the model in one of them."
                )
            num_bytes = math.prod(entry.shape) * DTYPES[entry.dtype].itemsize
            if entry.data_offsets != (stop, stop + num_bytes):
                raise _damaged(self.file, f"the header puts {name} where it cannot lie")
            stop += num_bytes
        if stop != data_bytes:
            raise _damaged(self.file, f"it holds {data_bytes} bytes of weights where the header tells of {stop}")

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        size = self.file.stat().st_size
        storage = torch.UntypedStorage.from_file(str(self.file), False, size)
        whole = torch.empty(0, dtype=torch.uint8).set_(storage)  # type: ignore[arg-type]
        for name, entry in self.entries.items():
            dtype = DTYPES[entry.dtype]
            piece = whole[self.num_bytes + entry.data_offsets[0] : self.num_bytes + entry.data_offsets[1]]
            if piece.storage_offset() % dtype.itemsize:
                piece = piece.clone()  # a header of odd length; numbers must lie on multiples of their size
            yield name, piece.view(dtype).view(entry.shape)


def _entries(file: Path, header: bytes) -> dict[str, _Entry]:
    try:
        raw = msgspec.json.decode(header, type=dict[str, msgspec.Raw])
        raw.pop("__metadata__", None)
        return {name: msgspec.json.decode(entry, type=_Entry) for name, entry in raw.items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(file, f"its header cannot be read: {one_line(error)}") from error


def _unpickled(file: Path) -> dict[str, Tensor]:
    """Tensors of a torch.save file by name. Only weights are ever unpickled, whatever else the file wants."""
    if file.suffix not in PICKLED:
        raise CheckpointError(f"{file}: no weight file; its name must end in {', '.join(('.safetensors', *PICKLED))}.")
    if _beginning(file, len(GIT_LFS_POINTER)) == GIT_LFS_POINTER:
        raise CheckpointError(f"{file}: a Git LFS pointer, not the weights. Get them with: git lfs pull")
    try:
        with warnings.catch_warnings(action="ignore"):  # about the format of what is refused anyway
            content = torch.load(file, map_location="cpu", weights_only=True, mmap=_is_zip(file))
    except pickle.UnpicklingError as error:
        # Torch's own words are not quoted: they tell how to run the pickle.
        foreign = re.search(r"GLOBAL (\S+)", str(error))
        wants = f", it asks for {foreign[1]}" if foreign else ""
        raise CheckpointError(
            f"{file}: a pickle of something else than weights{wants}; such a file is never run here. "
            "Take the model's .safetensors file, or a .bin or .pt file that holds a state_dict alone."
        ) from error
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise _damaged(file, "or no file of torch.save at all") from error
    if not isinstance(content, dict) or not content:
        raise CheckpointError(f"{file}: holds {type(content).__name__} instead of weights by name. {COPY_AGAIN}.")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
            raise CheckpointError(
                f"{file}: {name!r} is no tensor but {type(tensor).__name__}, so the file is no plain set of weights. "
                "Save the state_dict alone."
            )
    return content


def _is_zip(file: Path) -> bool:
    """Files of torch before 1.6 are not; they can be read but not mapped."""
    return _beginning(file, 4) == b"PK\x03\x04"


def _beginning(file: Path, num_bytes: int) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(num_bytes)
    except FileNotFoundError:
        raise CheckpointError(
            f"{file}: no such file. The model is incomplete; copy, download or train it again."
        ) from None
    except (OSError, ValueError) as error:  # a name may hold what no file's name can
        raise CheckpointError(f"{file}: cannot be read ({one_line(error)}).") from error


def _damaged(file: Path, how: str) -> CheckpointError:
    return CheckpointError(f"{file}: damaged, {how}. {COPY_AGAIN}.")
