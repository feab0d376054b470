"""Weights from files into networks: built without memory, checked by headers, mapped, refused in words when they do
not fit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from runtime.models.weight_files import (
    CheckpointError,
    StoredTensor,
    WeightSurvey,
    mapped_tensors,
    one_line,
    read_ahead,
    survey_weights,
)

__all__ = [
    "CheckpointError",
    "Examination",
    "built_without_weights",
    "examine",
    "fill",
    "load_weights",
    "read_weights",
    "refuse",
    "save_weights",
    "write_tensors",
]

Network = TypeVar("Network", bound=nn.Module)

COMPUTED_IN = (torch.float32, torch.bfloat16, torch.float16)
SHOWN_PROBLEMS = 5


@dataclass(frozen=True)
class Examination:
    """What is known of a network and its weight files before either takes memory.

    dtypes: of the floating-point tensors, as stored. num_bytes: as stored; memory_bytes: once loaded.
    problems: each in a sentence; without any the weights can be loaded.
    """

    files: tuple[Path, ...]
    num_tensors: int
    dtypes: tuple[torch.dtype, ...]
    num_bytes: int
    memory_bytes: int
    problems: tuple[str, ...]


def load_weights(
    network: Network | Callable[[], Network],
    source: Path,
    dtype: torch.dtype | None = None,
    *,
    allow_mixed: bool = False,
) -> Network:
    """Fill the network from a weight file, an index or a folder in a published layout. Every name and shape has to fit.

    network: one on the meta device, or a function that builds it, gets the file's tensors themselves, mapped: nothing
        is copied, and a page is read when it is first used. One that has memory gets a copy in its own dtype.
    dtype: to convert floating-point tensors to; None keeps the file's. allow_mixed: whether those of the file may
        differ among themselves.
    Raises CheckpointError before anything is allocated.
    """
    filled = cast("Network", network) if isinstance(network, nn.Module) else built_without_weights(network)
    survey = survey_weights(source)
    refuse(examine(filled, survey, dtype, allow_mixed=allow_mixed).problems)
    fill(filled, survey, dtype)
    return filled


def fill(network: nn.Module, survey: WeightSurvey, dtype: torch.dtype | None = None) -> None:
    """As `load_weights`, for a network and files that `examine` has found to fit."""
    put = _assign if any(parameter.is_meta for parameter in network.parameters()) else _copy
    places = _places(network)
    for file in survey.files:
        read_ahead(file)
        for name, tensor in _mapped(file):
            put(network, places[name], tensor, dtype)
    _check_nothing_is_left(network)


def refuse(problems: Sequence[str]) -> None:
    """Raises CheckpointError with the first of them, if there are any."""
    if problems:
        shown = " ".join(problems[:SHOWN_PROBLEMS])
        more = f" And {len(problems) - SHOWN_PROBLEMS} more." if len(problems) > SHOWN_PROBLEMS else ""
        raise CheckpointError(f"{shown}{more} `omni models verify` tells all that is wrong with a model.")


def examine(
    network: nn.Module, survey: WeightSurvey, dtype: torch.dtype | None = None, *, allow_mixed: bool = False
) -> Examination:
    """What `load_weights` would meet, all of it. Takes no memory if the network does not."""
    floating = [tensor for tensor in survey.tensors.values() if tensor.dtype.is_floating_point]
    saved = sum(tensor.num_bytes - tensor.num_values * dtype.itemsize for tensor in floating) if dtype else 0
    return Examination(
        files=survey.files,
        num_tensors=len(survey.tensors),
        dtypes=tuple(sorted({tensor.dtype for tensor in floating}, key=str)),
        num_bytes=survey.num_bytes,
        memory_bytes=survey.num_bytes - saved,
        problems=tuple(_problems(network, survey, dtype, allow_mixed)),
    )


def built_without_weights(build: Callable[[], Network]) -> Network:
    """The network with its parameters on the meta device, where they take no memory; computed buffers are real."""
    with _EmptyOnMeta():
        return build()


def read_weights(source: Path) -> dict[str, Tensor]:
    """All tensors of a weight file, an index or a folder, mapped. Raises CheckpointError when they are damaged."""
    survey = survey_weights(source)
    if survey.problems:
        raise CheckpointError(survey.problems[0])
    return dict(chain.from_iterable(_mapped(file) for file in survey.files))


def save_weights(network: nn.Module, path: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write the network's tensors, floating-point ones as `dtype`; tied ones once."""
    tied = _tied(network)
    write_tensors(
        {
            name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous().clone()
            for name, tensor in network.state_dict().items()
            if name not in tied
        },
        path,
    )


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """A safetensors file, which takes its place at once: a network may be mapped from the file that was there."""
    beside = path.with_name(path.name + ".part")
    save_file(dict(tensors), beside)
    beside.replace(path)


class _EmptyOnMeta(TorchFunctionMode):
    """Sends what parameters are made of to the meta device. Buffers come of arange, hann_window and their like.

    First values are skipped too: they would be thrown away, and torch's meta kernels for them take seconds to import.
    """

    FACTORIES = frozenset({torch.empty, torch.rand, torch.randn})
    FILLS = frozenset(
        {
            nn.init.constant_, nn.init.kaiming_uniform_, nn.init.normal_, nn.init.uniform_,
            Tensor.add_, Tensor.fill_, Tensor.mul_, Tensor.normal_, Tensor.uniform_, Tensor.zero_,
        }
    )  # fmt: skip

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if func in self.FACTORIES and options.get("device") is None:
            options["device"] = torch.device("meta")
        if func in self.FILLS and (tensor := args[0] if args else options["tensor"]).is_meta:
            return tensor
        return func(*args, **options)


def _problems(network: nn.Module, survey: WeightSurvey, dtype: torch.dtype | None, allow_mixed: bool) -> list[str]:
    """All that keeps the weights from the network; damage first, for it explains the rest."""
    if survey.problems and not survey.tensors:
        return list(survey.problems)
    stored, expected = survey.tensors, dict(network.state_dict())
    # What the network makes itself may be missing: tied tensors, and tables it computes.
    for made in (_tied(network) | set(getattr(network, "computed_buffers", ()))) - stored.keys():
        del expected[made]
    misfits = [f"{name} is missing" for name in expected if name not in stored]
    misfits += [f"{name} is not part of this network" for name in stored if name not in expected]
    for name in expected.keys() & stored.keys():
        misfits += _misfit(name, stored[name], expected[name])
    misfits += _wrong_dtypes(stored, dtype, allow_mixed)
    return [*survey.problems, *(f"{survey.source}: {misfit}." for misfit in sorted(misfits))]


def _misfit(name: str, stored: StoredTensor, expected: Tensor) -> list[str]:
    if stored.shape != tuple(expected.shape):
        return [f"{name} has shape {stored.shape}, the config asks for {tuple(expected.shape)}"]
    if stored.dtype.is_floating_point != expected.is_floating_point():
        return [f"{name} is {_name(stored.dtype)}, where {_name(expected.dtype)} belongs"]
    return []


def _wrong_dtypes(stored: Mapping[str, StoredTensor], dtype: torch.dtype | None, allow_mixed: bool) -> list[str]:
    """Of the floating-point tensors."""
    first: dict[torch.dtype, str] = {}
    for name, tensor in stored.items():
        if tensor.dtype.is_floating_point:
            first.setdefault(tensor.dtype, name)
    allowed = ", ".join(map(_name, COMPUTED_IN))
    if dtype is None:
        unusable = [kind for kind in first if kind not in COMPUTED_IN]
        if unusable:
            kinds = ", ".join(f"{_name(kind)} ({first[kind]})" for kind in unusable)
            return [f"holds {kinds}, which is not computed in; name one of {allowed} as the dtype to convert to"]
    if len(first) > 1 and not allow_mixed:
        kinds = ", ".join(f"{_name(kind)} ({name})" for kind, name in first.items())
        return [f"mixes {kinds}; if that is meant, name in the model file the dtype to convert to: one of {allowed}"]
    return []


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _mapped(file: Path) -> list[tuple[str, Tensor]]:
    try:
        return list(mapped_tensors(file))
    except (RuntimeError, OSError) as error:
        raise CheckpointError(f"{file}: cannot be mapped into memory ({one_line(error)}).") from error


def _places(network: nn.Module) -> dict[str, list[str]]:
    """State name -> all names under which the network holds that tensor, tied ones together."""
    together: dict[int, list[str]] = {}
    state = network.state_dict(keep_vars=True)
    for name, tensor in state.items():
        together.setdefault(id(tensor), []).append(name)
    return {name: together[id(tensor)] for name, tensor in state.items()}


def _assign(network: nn.Module, names: list[str], tensor: Tensor, dtype: torch.dtype | None) -> None:
    """The tensor itself, or what it is converted to, in every place it belongs."""
    held = _get(network, names[0])
    wanted = (dtype or tensor.dtype) if tensor.is_floating_point() else held.dtype
    filled = tensor.to(wanted)
    if isinstance(held, nn.Parameter):
        filled = nn.Parameter(filled, requires_grad=held.requires_grad)
    for name in names:
        owner, _, leaf = name.rpartition(".")
        setattr(network.get_submodule(owner), leaf, filled)


@torch.no_grad()
def _copy(network: nn.Module, names: list[str], tensor: Tensor, dtype: torch.dtype | None) -> None:
    """Into the memory that is there, in whose own dtype it stays."""
    _get(network, names[0]).copy_(tensor)


def _get(network: nn.Module, name: str) -> Tensor:
    owner, _, leaf = name.rpartition(".")
    held = getattr(network.get_submodule(owner), leaf)
    assert isinstance(held, Tensor)
    return held


def _check_nothing_is_left(network: nn.Module) -> None:
    """A buffer that no file holds has to be computed where its network is built, from something else than empty()."""
    left = [name for name, held in chain(network.named_parameters(), network.named_buffers()) if held.is_meta]
    if left:
        raise RuntimeError(f"{type(network).__name__}: {', '.join(left)} are neither in the weights nor computed")


def _tied(network: nn.Module) -> set[str]:
    """Names whose tensor is another parameter's: `lm_head.weight` of a network with tied embeddings."""
    first_names = {name for name, _ in network.named_parameters()}
    return {name for name, _ in network.named_parameters(remove_duplicate=False)} - first_names
