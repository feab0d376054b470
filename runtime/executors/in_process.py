"""The executor of this process. On a processor every canvas has a pass of its own: a batch saves nothing there, since a
pass is bound by arithmetic, and the last bits of its numbers would depend on who shares it. Elsewhere all share one."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from runtime.executors.executor import ForwardItem
from runtime.executors.passes import passes_of
from runtime.executors.reusing import scores_with
from runtime.models.backbone import Backbone

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
    compiled: have torch compile the layers: the first passes take minutes. What it gains must be measured where it is
        to run; on a processor without bfloat16 the embedded model gained nothing.
    """

    def __init__(
        self,
        backbone: Backbone,
        precision: Precision = "auto",
        num_threads: int | None = None,
        compiled: bool = False,
    ) -> None:
        self._backbone = backbone.eval()
        if compiled:
            backbone.hidden = torch.compile(backbone.hidden, dynamic=True)  # type: ignore[method-assign]
        self._device = backbone.lm_head.weight.device
        self._batched = self._device.type != "cpu"
        self.dtype = _dtype(precision, backbone.lm_head.weight)
        if num_threads is not None:
            torch.set_num_threads(num_threads)

    @torch.inference_mode()
    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        if not items:
            return []
        with self._autocast():
            plain = iter(self._plain([item for item in items if item.reuse is None]))
            # A canvas that reuses has a pass of its own, on every device.
            return [
                next(plain) if item.reuse is None else scores_with(item, item.reuse, self._backbone, self._device)
                for item in items
            ]

    def _plain(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        scores: dict[int, Tensor] = {}
        for each in passes_of(items, together=self._batched) if items else ():
            scores |= each.run(self._backbone, self._device)
        return [scores[index] for index in range(len(items))]

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
