"""The executor of this process: a padded batch through the backbone, scores only where they are wanted."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from runtime.diffusion.batch import Batch
from runtime.executors.executor import ForwardItem
from runtime.models.backbone import Backbone, padding_bias

Precision = Literal["auto", "float32", "bfloat16"]

BFLOAT16_FEATURES = ("amx_bf16", "avx512_bf16")  # without one of these bfloat16 is emulated and many times slower


def processor_has_bfloat16(cpu_description: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this processor multiplies bfloat16 in hardware; False where that cannot be read."""
    try:
        words = set(cpu_description.read_text().split())
    except OSError:
        return False
    return any(feature in words for feature in BFLOAT16_FEATURES)


class InProcessExecutor:
    """Implements Executor in this process, on the device the backbone lies on (other devices than "cpu" are untested).

    precision: "auto" computes in bfloat16 where the processor has it in hardware, else in the dtype of the weights.
    num_threads: of torch, for the whole process; None leaves them as they are.
    """

    def __init__(self, backbone: Backbone, precision: Precision = "auto", num_threads: int | None = None) -> None:
        self._backbone = backbone.eval()
        self._device = backbone.lm_head.weight.device
        self.dtype = _dtype(precision, backbone.lm_head.weight)
        if num_threads is not None:
            torch.set_num_threads(num_threads)

    @torch.inference_mode()
    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        if not items:
            return []
        canvases = list({id(item.canvas): item.canvas for item in items}.values())
        place = {id(canvas): i for i, canvas in enumerate(canvases)}
        with self._autocast():
            hidden = self.hidden(Batch.of(canvases).to(self._device))
            return [
                self._backbone.scores(
                    hidden[place[id(item.canvas)]], item.rows.to(self._device), slice(*item.vocabulary)
                )
                .float()
                .cpu()
                for item in items
            ]

    def hidden(self, batch: Batch) -> Tensor:
        """(batch, length, hidden) after the final norm; padding is unseen."""
        embedded = batch.put_speech(self._backbone.embed(batch.token_ids, batch.image_cells))
        bias = padding_bias(batch.lengths, batch.token_ids.shape[1], embedded.dtype)
        return self._backbone.hidden(embedded, batch.positions, bias)

    def _autocast(self) -> AbstractContextManager[object]:
        if self.dtype == self._backbone.lm_head.weight.dtype:
            return nullcontext()
        return torch.autocast(self._device.type, self.dtype)


def _dtype(precision: Precision, weights: Tensor) -> torch.dtype:
    if precision not in get_args(Precision):
        raise ValueError(f"unknown precision {precision!r}; allowed: {', '.join(get_args(Precision))}")
    if precision == "auto":
        fast = weights.device.type == "cpu" and processor_has_bfloat16()
        return torch.bfloat16 if fast else weights.dtype
    if precision == "float32" and weights.dtype != torch.float32:
        raise ValueError(f"the weights are {weights.dtype}; float32 needs them loaded as float32")
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
