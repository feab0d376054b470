"""Classifier-free guidance."""

from torch import Tensor


def guided(with_prompt: Tensor, without_prompt: Tensor, scale: float) -> Tensor:
    """Scores pushed away from what the model says without the prompt: u + (1 + scale) * (c - u); 0 changes nothing."""
    return without_prompt + (1 + scale) * (with_prompt - without_prompt)
