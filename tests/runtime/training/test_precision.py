import torch
from torch import nn

from runtime.training.precision import computes_in_bfloat16, in_training_precision


def test_products_are_in_bfloat16_only_where_the_processor_has_it() -> None:
    layer = nn.Linear(8, 8)
    with in_training_precision():
        made = layer(torch.ones(2, 8))
    assert made.dtype == (torch.bfloat16 if computes_in_bfloat16() else torch.float32)
    assert layer.weight.dtype == torch.float32
    made.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32
