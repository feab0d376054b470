"""What the engine tells: the state of a canvas after a step, and its end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from runtime.diffusion.canvas import Modality

Status = Literal["completed", "cancelled", "incomplete", "failed"]


@dataclass(frozen=True)
class TextSpan:
    """Characters [start, end) of a text snapshot and how sure they are; `masked` where nothing is known yet."""

    start: int
    end: int
    masked: bool
    confidence: float


@dataclass(frozen=True)
class Sound:
    """pcm: (samples,) int16, mono, at `sample_rate_hz`."""

    pcm: NDArray[np.int16]
    sample_rate_hz: int


@dataclass(frozen=True)
class SlotState:
    """A snapshot of one slot.

    tokens: (length,) int64 ids, -1 where masked. confidence: (length,) float32.
    text, spans: a text slot's reading, "▒" for each masked position. Trailing padding is not part of it.
    image: (height, width, 3) uint8, the picture of an image slot at the end, or None.
    preview: paints the picture as far as this snapshot knows it, from any thread. Whoever shows it paints it, so that
        painting delays no step and what is never shown is never painted. None where there is nothing to see.
    grid: rows, columns of an image slot.
    speech: the sound of a speech slot that is complete, or None.
    """

    name: str
    modality: Modality
    tokens: NDArray[np.int64]
    confidence: NDArray[np.float32]
    text: str | None = None
    spans: tuple[TextSpan, ...] = ()
    image: NDArray[np.uint8] | None = None
    preview: Callable[[], NDArray[np.uint8]] | None = None
    grid: tuple[int, int] | None = None
    speech: Sound | None = None

    @property
    def masked(self) -> NDArray[np.bool_]:
        return self.tokens < 0

    @property
    def complete(self) -> bool:
        return not bool(self.masked.any())


@dataclass(frozen=True)
class Usage:
    """Tokens read and written, by modality; `steps` denoise steps run."""

    input_text: int = 0
    input_speech: int = 0
    input_image: int = 0
    output_text: int = 0
    output_speech: int = 0
    output_image: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Started:
    """The canvas is laid out: every slot with its length, all masked."""

    request_id: str
    slots: tuple[SlotState, ...]
    steps: int
    seed: int


@dataclass(frozen=True)
class StepOutput:
    """A partial: a snapshot, so that a slow reader may skip any number of them.

    step counts from 1; steps is how many are planned; eta_ms the time the rest is expected to take.
    """

    request_id: str
    step: int
    steps: int
    unmasked_ratio: float
    eta_ms: float
    slots: tuple[SlotState, ...]


@dataclass(frozen=True)
class Finished:
    """The end of a request, always the last output.

    status: completed; cancelled (by `cancel`); incomplete (committed early by `finalize` or its deadline);
        failed, then `error` says why and slots may be empty.
    steps: run; planned_steps: those of the recipe, more than `steps` where a deadline or `tune` left some out.
    """

    request_id: str
    status: Status
    slots: tuple[SlotState, ...]
    usage: Usage
    steps: int
    planned_steps: int = 0
    unmasked_per_step: tuple[int, ...] = ()
    error: str | None = None


EngineOutput = Started | StepOutput | Finished
