"""What the engine tells: the state of a canvas after a step, and its end."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from runtime.diffusion.canvas import Modality
from runtime.engine.changes import Record

log = logging.getLogger(__name__)
Status = Literal["completed", "cancelled", "incomplete", "failed"]


@dataclass(frozen=True)
class TextSpan:
    """Characters [start, end) of a text snapshot and how sure they are; `masked` where nothing is known yet.

    places: the positions of the slot, [first, stop), that they stand at.
    """

    start: int
    end: int
    masked: bool
    confidence: float
    places: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Sound:
    """pcm: (samples,) int16, mono, at `sample_rate_hz`."""

    pcm: NDArray[np.int16]
    sample_rate_hz: int


class Speaker(Protocol):
    """Says a speech slot piece by piece while it is still being made."""

    @property
    def hop(self) -> int:
        """So many positions are said together."""
        ...

    def push(self, slot: "SlotState") -> Sound:
        """What is new in what stands at the slot's beginning, nothing perhaps; the rest when the slot is complete.

        To be given later snapshots of one slot, in order. From any thread, one at a time.
        """
        ...


@dataclass(frozen=True)
class SlotState:
    """A snapshot of one slot. Whoever wants its picture or its sound makes it, in his own thread, so that making it
    delays no step, and what nobody wants is never made.

    tokens: (length,) int64 ids, -1 where masked. confidence: (length,) float32.
    text, spans: a text slot's reading, "▒" for each masked position. Trailing padding is not part of it.
    full: whether no end stands in a text slot: what it says may have been cut by its length.
    paint: paints an image slot as far as this snapshot knows it: (height, width, 3) uint8. None: nothing to see yet.
    grid: rows, columns of an image slot.
    sound: says a speech slot that is complete; None if it says nothing. speaker: says one while it is being made;
        None where it can be said only when it is complete.
    """

    name: str
    modality: Modality
    tokens: NDArray[np.int64]
    confidence: NDArray[np.float32]
    text: str | None = None
    spans: tuple[TextSpan, ...] = ()
    full: bool = False
    paint: Callable[[], NDArray[np.uint8]] | None = None
    grid: tuple[int, int] | None = None
    sound: Callable[[], Sound | None] | None = None
    speaker: Callable[[], Speaker] | None = None

    @property
    def masked(self) -> NDArray[np.bool_]:
        return self.tokens < 0

    @property
    def complete(self) -> bool:
        return not bool(self.masked.any())

    @property
    def settled(self) -> int:
        """Positions from the beginning that are filled: only an edit changes them."""
        masked = np.flatnonzero(self.masked)
        return int(masked[0]) if len(masked) else len(self.tokens)

    @cached_property
    def image(self) -> NDArray[np.uint8] | None:
        """The picture of an image slot that is complete."""
        return self.paint() if self.paint is not None and self.complete else None

    @cached_property
    def speech(self) -> Sound | None:
        """The sound of a speech slot that is complete."""
        return self.sound() if self.sound is not None and self.complete else None


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

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})


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
    overloaded: whether it failed because of all the others: asked later it may be made.
    refused: whether it failed because of itself: asked again as it is, it fails again.
    record: how it was made, of what was laid out.
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
    overloaded: bool = False
    refused: bool = False
    record: Record | None = None

    def painted(self) -> "Finished":
        """Itself, its pictures made; one that failed where that cannot be done."""
        try:
            for slot in self.slots:
                _ = slot.image
        except Exception as error:
            log.exception("the picture of request %s could not be made", self.request_id)
            return replace(self, status="failed", slots=(), error=f"the model failed on this request: {error}")
        return self


EngineOutput = Started | StepOutput | Finished
