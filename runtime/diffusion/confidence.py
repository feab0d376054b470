"""What ranks positions: the surer a position, the earlier it is unmasked."""

from typing import Literal

import torch
from torch import Tensor

ConfidenceRule = Literal["probability", "margin", "entropy"]


def confidence(rule: ConfidenceRule, probabilities: Tensor, tokens: Tensor) -> Tensor:
    """Confidence of each row, higher is surer.

    probabilities: (rows, vocab); tokens: (rows,) columns of the candidate tokens -> (rows,).
    probability: that of the candidate. margin: best minus second best. entropy: the negative entropy, <= 0.
    """
    if rule == "probability":
        return probabilities.gather(-1, tokens[:, None])[:, 0]
    if rule == "margin":
        best = probabilities.topk(min(2, probabilities.shape[-1])).values
        return best[:, 0] - (best[:, 1] if best.shape[-1] > 1 else 0)
    return (probabilities * torch.log(probabilities + 1e-10)).sum(-1)
