"""The nucleus of a row of scores without sorting it: the fewest likeliest tokens whose probability passes a mass.

A token is kept if what is likelier than it, and what is as likely and stands before it, adds up to the mass or less. So
the set follows from one threshold and the number of its equals that are kept. Probabilities are float32, sums of them
float64. The same set comes from three ways: C for processors (`nucleus_kernel`), Triton for CUDA (`nucleus_triton`,
untested), and torch where there is no compiler.
"""

import torch
from torch import Tensor

from runtime.diffusion import nucleus_kernel

FEW = 512  # columns that hold the nucleus of a row which knows what it wants


def nucleus(scores: Tensor, mass: float) -> Tensor:
    """Which columns are in the nucleus: (rows, vocab) float32 scores -> bool of the same shape."""
    scores = scores.float().contiguous()
    if not len(scores):
        return torch.zeros_like(scores, dtype=torch.bool)
    probabilities = scores.softmax(-1)
    if scores.is_cuda:
        from runtime.diffusion.nucleus_triton import nucleus_on_cuda

        return nucleus_on_cuda(order_keys(scores), probabilities, mass)
    kept = nucleus_kernel.nucleus(scores, probabilities, mass)
    return nucleus_in_torch(scores, probabilities, mass) if kept is None else kept


def order_keys(scores: Tensor) -> Tensor:
    """int64 numbers in the order of the float32 scores: floats compare as their bits do, negative ones backwards."""
    bits = (scores + 0.0).view(torch.int32).long()  # + 0.0 makes the two zeros one
    return torch.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def nucleus_in_torch(scores: Tensor, probabilities: Tensor, mass: float) -> Tensor:
    """By the few best of each row; only rows whose nucleus is wider than that are sorted, which is slow."""
    kept = torch.empty_like(scores, dtype=torch.bool)
    left = torch.arange(len(scores))
    for width in (min(FEW, scores.shape[-1]), scores.shape[-1]):
        rows, shares = scores[left], probabilities[left]
        best, columns = rows.topk(width)
        sums = shares.gather(-1, columns).double()
        inside = (sums.cumsum(-1) - sums <= mass).sum(-1, keepdim=True)
        found = (inside[:, 0] < width) | (width == scores.shape[-1])
        threshold = best.gather(-1, inside.clamp(min=1) - 1)
        kept[left[found]] = _kept(rows[found], shares[found], threshold[found], mass)
        left = left[~found]
        if not len(left):
            break
    return kept


def _kept(scores: Tensor, probabilities: Tensor, threshold: Tensor, mass: float) -> Tensor:
    """All above the threshold, and of its equals as many as the mass has room for, by column."""
    above, equal = scores > threshold, scores == threshold
    one = torch.where(equal, probabilities, 0.0).amax(-1, keepdim=True).double()
    before = torch.where(above, probabilities, 0.0).sum(-1, keepdim=True, dtype=torch.float64)
    return above | (equal & (before + (equal.cumsum(-1) - 1).double() * one <= mass))
