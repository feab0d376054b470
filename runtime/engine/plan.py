"""What a model takes: parameters, memory and operations of a denoise step, computed on torch's meta device.

Nothing is measured and no weight is read: the networks run on tensors that have shapes and no values.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from runtime.models.backbone import Backbone
from runtime.models.checkpoints import built_without_weights
from runtime.models.image_tokenizer import ImageTokenizer
from runtime.models.published import BACKBONE, IMAGE_TOKENIZER, SPEECH_ENCODER
from runtime.models.speech_flow.flow import SpeechFlow
from runtime.models.speech_tokenizer import SpeechTokenizer
from runtime.models.vocoder import Vocoder

CARDS_BYTES = (24_000_000_000, 48_000_000_000, 80_000_000_000)
BACKBONE_DTYPES = (torch.float32, torch.bfloat16)
CODECS_DTYPE = "float32"


@dataclass(frozen=True)
class PartPlan:
    """num_bytes: by dtype, if all floating-point parameters and buffers were of it."""

    name: str
    num_parameters: int
    num_bytes: Mapping[str, int]


@dataclass(frozen=True)
class StepPlan:
    """Floating-point operations of one forward pass of one canvas, a multiply-add counting as two.

    layers: of everything below the head: matrix products and attention (2 m n k each), nothing else.
    head_masked: of the scores of the masked rows alone, which is what a step computes; head_all: of all rows.
    activation_bytes: by dtype, the most that is alive at once: hidden states, attention scores as if they were
        written out (fused kernels hold less), scores of the masked rows in float32; without the sampler's own.
    """

    tokens: int
    masked: int
    layers: int
    head_masked: int
    head_all: int
    activation_bytes: Mapping[str, int]


@dataclass(frozen=True)
class CardPlan:
    """Whether weights and activations fit on a card of `card_bytes`, with the backbone in `dtype`."""

    card_bytes: int
    dtype: str
    needed_bytes: int

    @property
    def fits(self) -> bool:
        return self.needed_bytes <= self.card_bytes


@dataclass(frozen=True)
class Plan:
    """Arithmetic, not measured on a GPU. The codecs' networks are counted in float32, as they run."""

    parts: tuple[PartPlan, ...]
    step: StepPlan
    cards: tuple[CardPlan, ...]


def plan(networks: Mapping[str, nn.Module], tokens: int = 560, masked: int = 260) -> Plan:
    """networks: by part, the `backbone` among them, which is moved to the meta device. tokens: of a canvas, `masked`
    of them open."""
    parts = tuple(_part(name, network) for name, network in networks.items())
    backbone = networks["backbone"]
    assert isinstance(backbone, Backbone)
    step = _step(backbone.to("meta"), tokens, masked)
    return Plan(parts, step, tuple(_cards(parts, step)))


def published_networks() -> dict[str, nn.Module]:
    """Those of the published model, without memory for their weights."""
    build: dict[str, Callable[[], nn.Module]] = {
        "backbone": partial(Backbone, BACKBONE, SPEECH_ENCODER),
        "image_tokenizer": partial(ImageTokenizer, IMAGE_TOKENIZER),
        "speech_tokenizer": SpeechTokenizer,
        "speech_flow": SpeechFlow,
        "vocoder": Vocoder,
    }
    return {name: built_without_weights(network) for name, network in build.items()}


def _part(name: str, network: nn.Module) -> PartPlan:
    parameters = sum(parameter.numel() for parameter in network.parameters())
    held = [*network.parameters(), *network.buffers()]
    floating = sum(tensor.numel() for tensor in held if tensor.is_floating_point())
    other = sum(tensor.numel() * tensor.itemsize for tensor in held if not tensor.is_floating_point())
    return PartPlan(name, parameters, {_name(d): floating * d.itemsize + other for d in BACKBONE_DTYPES})


@torch.inference_mode()
def _step(backbone: Backbone, tokens: int, masked: int) -> StepPlan:
    layers = _counted(lambda: _hidden(backbone, tokens))
    hidden = torch.empty(tokens, backbone.config.hidden_size, device="meta", dtype=backbone.lm_head.weight.dtype)
    head_masked = _counted(lambda: backbone.scores(hidden[:masked]))
    head_all = _counted(lambda: backbone.scores(hidden))
    activations = {_name(dtype): _activation_bytes(backbone.to(dtype), tokens, masked) for dtype in BACKBONE_DTYPES}
    return StepPlan(tokens, masked, layers, head_masked, head_all, activations)


def _counted(work: Callable[[], object]) -> int:
    """Floating-point operations of what `work` does."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def _activation_bytes(backbone: Backbone, tokens: int, masked: int) -> int:
    with _PeakOfLive(backbone) as live:
        hidden = _hidden(backbone, tokens)
        backbone.scores(hidden[:masked]).float()
    return int(live.peak_bytes)


def _hidden(backbone: Backbone, tokens: int) -> Tensor:
    """(tokens, hidden) of one canvas."""
    return backbone.hidden(backbone.embed(_ids(tokens)[None]))[0]


def _cards(parts: Sequence[PartPlan], step: StepPlan) -> Iterator[CardPlan]:
    for card in CARDS_BYTES:
        for dtype in map(_name, BACKBONE_DTYPES):
            weights = sum(part.num_bytes[dtype if part.name == "backbone" else CODECS_DTYPE] for part in parts)
            yield CardPlan(card, dtype, weights + step.activation_bytes[dtype])


class _PeakOfLive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Bytes of all tensors alive at once that are not the network's own, at their most."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak_bytes: int = 0
        self._own = {tensor.untyped_storage()._cdata for tensor in network.parameters()}
        self._live: dict[int, tuple[Any, int]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self._live = {key: entry for key, entry in self._live.items() if not entry[0].expired()}
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self._own:
                storage = tensor.untyped_storage()
                self._live.setdefault(storage._cdata, (StorageWeakRef(storage), storage.nbytes()))  # type: ignore[no-untyped-call]
        self.peak_bytes = max(self.peak_bytes, sum(num_bytes for _, num_bytes in self._live.values()))
        return out


def _ids(number: int) -> Tensor:
    """Stands for token ids or row numbers; on the meta device they have no values."""
    return torch.empty(number, dtype=torch.int64, device="meta")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
