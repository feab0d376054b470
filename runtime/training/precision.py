"""In which precision a training step computes on this processor."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


def computes_in_bfloat16() -> bool:
    """Whether the processor multiplies in bfloat16 by itself; others imitate it, ten times slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


@contextmanager
def in_training_precision() -> Iterator[None]:
    """Products in bfloat16 where the processor has it: two to four times as fast, weights stay float32.

    Attention is written out: on a processor its fused form is slow backwards at the lengths of our canvases.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_bfloat16()), sdpa_kernel(SDPBackend.MATH):
        yield
