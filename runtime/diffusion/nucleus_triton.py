"""The nucleus on CUDA, a program a row. UNTESTED: written for a GPU that was never there; checked by reading alone."""

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096
LOWEST = -(2**31)


@triton.jit  # type: ignore[untyped-decorator]
def _threshold(keys, probabilities, thresholds, above, vocab, mass, lowest, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]  # noqa: N803
    row = tl.program_id(0).to(tl.int64)
    keys += row * vocab
    probabilities += row * vocab
    columns = tl.arange(0, BLOCK)
    low = tl.full((), lowest, tl.int64)
    high = tl.full((), 2147483647, tl.int64)
    for _ in range(33):
        middle = (low + high) >> 1
        total = tl.full((), 0.0, tl.float64)
        for start in range(0, vocab, BLOCK):
            inside = start + columns < vocab
            key = tl.load(keys + start + columns, mask=inside, other=lowest)
            probability = tl.load(probabilities + start + columns, mask=inside, other=0.0)
            total += tl.sum(tl.where(key > middle, probability, 0.0).to(tl.float64))
        fits = total <= mass
        low = tl.where(fits, low, middle + 1)
        high = tl.where(fits, middle, high)
    total = tl.full((), 0.0, tl.float64)
    for start in range(0, vocab, BLOCK):
        inside = start + columns < vocab
        key = tl.load(keys + start + columns, mask=inside, other=lowest)
        probability = tl.load(probabilities + start + columns, mask=inside, other=0.0)
        total += tl.sum(tl.where(key > high, probability, 0.0).to(tl.float64))
    tl.store(thresholds + row, high)
    tl.store(above + row, total)


def nucleus_on_cuda(keys: Tensor, probabilities: Tensor, mass: float) -> Tensor:
    """(rows, vocab) int64 order keys and float32 probabilities -> bool of that shape."""
    rows, vocab = keys.shape
    thresholds = torch.empty(rows, dtype=torch.int64, device=keys.device)
    above = torch.empty(rows, dtype=torch.float64, device=keys.device)
    _threshold[(rows,)](keys, probabilities, thresholds, above, vocab, mass, LOWEST, BLOCK=BLOCK)
    equal = keys == thresholds[:, None]
    one = torch.where(equal, probabilities, 0.0).amax(-1, keepdim=True).double()
    before = (equal.cumsum(-1) - 1).double() * one
    return (keys > thresholds[:, None]) | (equal & (above[:, None] + before <= mass))
