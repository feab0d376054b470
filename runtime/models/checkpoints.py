"""Weights from safetensors files into networks, refused in words when they do not fit."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class CheckpointError(ValueError):
    """A model folder that cannot be used; the message names the file, what is wrong and what to do."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises CheckpointError when it is missing or damaged."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file. The model folder is incomplete; copy or train the model again.")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged ({error}). Copy or train the model again.") from error


def load_weights(network: nn.Module, path: Path) -> None:
    """Put the file's tensors into the network, converting to its dtype. Every key and shape has to fit."""
    weights = read_weights(path)
    expected = {name: tensor.shape for name, tensor in network.state_dict().items()}
    for shared in _tied(network):
        if shared not in weights:
            expected.pop(shared, None)
    problems = [f"{name} is missing" for name in expected.keys() - weights.keys()]
    problems += [f"{name} is not part of this network" for name in weights.keys() - expected.keys()]
    problems += [
        f"{name} has shape {tuple(weights[name].shape)}, the config asks for {tuple(shape)}"
        for name, shape in expected.items()
        if name in weights and weights[name].shape != shape
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:5])
        raise CheckpointError(f"{path}: {len(problems)} tensors do not fit its config: {shown}.")
    network.load_state_dict(weights, strict=False)


def save_weights(network: nn.Module, path: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write the network's tensors, floating-point ones as `dtype`; tied ones once."""
    tied = _tied(network)
    weights: Mapping[str, Tensor] = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous().clone()
        for name, tensor in network.state_dict().items()
        if name not in tied
    }
    save_file(dict(weights), path)


def _tied(network: nn.Module) -> set[str]:
    """Names whose tensor is another parameter's: `lm_head.weight` of a network with tied embeddings."""
    first_names = {name for name, _ in network.named_parameters()}
    return {name for name, _ in network.named_parameters(remove_duplicate=False)} - first_names
