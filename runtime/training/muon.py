"""Muon: momentum whose update is made orthogonal (Jordan et al. 2024), for the matrices between embeddings and head.

A convolution's weight counts as the matrix that maps a whole window of its input to one pixel of its output.

Matrices are made orthogonal in bfloat16 where the processor computes in it, else in float32: torch.optim.Muon takes
bfloat16 always, which other processors do ten times slower.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from runtime.training.precision import computes_in_bfloat16

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic that pushes singular values to one
NUM_ITERATIONS = 5
WORKING_DTYPE = torch.bfloat16 if computes_in_bfloat16() else torch.float32


def orthogonalized(matrix: Tensor) -> Tensor:
    """The nearest matrix (about) with all singular values one, scaled for its shape."""
    a, b, c = COEFFICIENTS
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    x: Tensor = wide / (wide.norm() + 1e-7)
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    x = x if wide is matrix else x.T
    return x * math.sqrt(max(1.0, matrix.shape[0] / matrix.shape[1]))


class Muon(torch.optim.Optimizer):
    """lr: 0.02 is a good peak; weight_decay is decoupled."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(momentum, group["momentum"])
                update = orthogonalized(update.flatten(1).to(WORKING_DTYPE)).to(update).view_as(update)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"])
