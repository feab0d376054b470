import pytest
import torch
from torch import nn

from runtime.training.muon import Muon, orthogonalized


@pytest.mark.parametrize("shape", [(8, 8), (4, 12), (12, 4)])
def test_singular_values_are_pushed_to_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    scale = max(1.0, shape[0] / shape[1]) ** 0.5
    values = torch.linalg.svdvals(orthogonalized(torch.randn(shape))) / scale
    assert float(values.min()) > 0.4
    assert float(values.max()) < 1.4


def test_a_step_lowers_the_loss() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(6, 6, bias=False)
    optimizer = Muon([layer.weight], lr=0.05)
    x = torch.randn(32, 6)
    losses = []
    for _ in range(30):
        loss = (layer(x) - x).pow(2).mean()
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.2 * losses[0]


def test_a_kernel_is_the_matrix_of_its_window() -> None:
    torch.manual_seed(0)
    kernel = nn.Parameter(torch.randn(6, 4, 3, 3))
    before = kernel.detach().clone()
    kernel.grad = torch.randn_like(kernel)
    Muon([kernel], lr=1.0).step()
    values = torch.linalg.svdvals((before - kernel.detach()).flatten(1))
    assert float(values.min()) > 0.4
    assert float(values.max()) < 1.4
