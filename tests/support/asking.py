"""Evidence asked of a tiny model, with passes that are really run."""

from collections.abc import Generator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from runtime.diffusion.canvas import Canvas
from runtime.engine.evidence import Drawing
from runtime.engine.prompt import EncodedImage, EncodedTurn, lay_out
from runtime.engine.recipe import EMBEDDED_RECIPES, Recipe
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor
from tests.support.tiny_model import tiny_model

T = TypeVar("T")
MODEL = tiny_model()
SHOWN = EncodedImage(torch.arange(100).view(10, 10) % 64)


def laid(turns: Sequence[EncodedTurn], recipe: Recipe) -> Canvas:
    return lay_out(turns, recipe, MODEL.vocabulary, MODEL.text)


def answered(asking: Generator[list[ForwardItem], list[Tensor], T]) -> tuple[T, list[int]]:
    """What came out, and how many passes each step took."""
    executor, passes = InProcessExecutor(MODEL.backbone, "float32"), list[int]()
    items = next(asking)
    try:
        while True:
            passes.append(len(items))
            items = asking.send(executor.forward(items))
    except StopIteration as end:
        return end.value, passes


def drawing(*requests: str) -> Drawing:
    reads, draws = EMBEDDED_RECIPES["image_to_text"], EMBEDDED_RECIPES["text_to_image"]
    return Drawing(SHOWN, requests, 0.02, reads, draws, laid, MODEL.text)
