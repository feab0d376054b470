"""What the engine is asked: a conversation, a recipe, a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from runtime.engine.given import Given
from runtime.engine.recipe import Recipe
from runtime.engine.truncation import AUTO, Truncation

if TYPE_CHECKING:
    from runtime.engine.changes import Dated


@dataclass(frozen=True)
class TextPart:
    text: str


@dataclass(frozen=True)
class SpeechPart:
    """pcm: (samples,) int16, mono, at `sample_rate_hz`."""

    pcm: NDArray[np.int16]
    sample_rate_hz: int


@dataclass(frozen=True)
class ImagePart:
    """pixels: (height, width, 3) uint8 RGB."""

    pixels: NDArray[np.uint8]


Part = TextPart | SpeechPart | ImagePart


@dataclass(frozen=True)
class Turn:
    """One side's say."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class GenerationRequest:
    """One response to make.

    turns: the conversation, oldest first; the response answers its end.
    partial_every: a partial after this many denoise steps; 0 for none but the finished answer.
    deadline_ms: soft; steps are left out to meet it, and past it the rest is committed at once. None: no deadline.
    floor_steps: so many steps are run even if the deadline is missed for it.
    tenant: on whose account it is; steps are shared evenly among tenants.
    given: parts of the answer that stand from the beginning; the model fills what is left between them.
    changes: to be made on the way, each after its number of steps.
    truncation: what is left out where the conversation is too long.
    kept_steps: so many of the last steps can be gone on from, while it runs and after.
    """

    request_id: str
    turns: tuple[Turn, ...]
    recipe: Recipe
    seed: int = 0
    partial_every: int = 1
    deadline_ms: int | None = None
    floor_steps: int = 1
    tenant: str = ""
    given: tuple[Given, ...] = ()
    changes: tuple[Dated, ...] = ()
    truncation: Truncation = AUTO
    kept_steps: int = 0
