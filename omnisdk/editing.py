"""Changes to an answer that is being made: `await response.edit(Edit.mask("image", Box(0, 0, 40, 40)))`."""

from __future__ import annotations

import io
from collections.abc import Coroutine, Generator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image as PilImage

from omnisdk.errors import MediaError
from omnisdk.protocol.changes import CanvasEdit, CanvasPlace
from omnisdk.protocol.picture import Picture

T = TypeVar("T")


class Wait(Protocol):
    """How a thread without the event loop waits for a coroutine; the sync client's."""

    def __call__(self, coroutine: Coroutine[object, object, T], /) -> T: ...


class Box(NamedTuple):
    """A part of a picture in pixels; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int


class Chars(NamedTuple):
    """Characters of a text as the newest partial shows it; the end is outside."""

    start: int
    end: int


class Words(NamedTuple):
    """Words of a text as the newest partial shows it, from 0; the end is outside."""

    start: int
    end: int


class Span(NamedTuple):
    """A stretch of speech, in seconds."""

    start_s: float
    end_s: float


class Region:
    """A part of a picture of any shape. inside: (rows, columns) bool, one for each of its pixels."""

    def __init__(self, inside: ArrayLike) -> None:
        self.inside: NDArray[np.bool_] = np.asarray(inside, bool)
        if self.inside.ndim != 2 or not self.inside.any():
            raise MediaError(
                f"a region of shape {self.inside.shape} came; give (rows, columns) with something true in it"
            )

    @cached_property
    def png(self) -> bytes:
        """As it is sent: transparent inside."""
        alpha = np.where(self.inside, 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        PilImage.fromarray(np.stack([alpha] * 4, -1), "RGBA").save(buffer, "PNG")
        return buffer.getvalue()


Place = Box | Region | Chars | Words | Span | tuple[int, ...]


@dataclass(frozen=True)
class Edit:
    """One change to one slot of an answer ("image", "text", "transcript", "speech").

    where: positions in the slot, from 0; of a picture a Box or a Region; of a text Chars or Words; of speech a Span.
    tokens: for `set`, a joint token id for each position.
    """

    action: Literal["pin", "mask", "set"]
    slot: str
    where: Place
    tokens: tuple[int, ...] = ()

    @classmethod
    def pin(cls, slot: str, where: Place | Sequence[int]) -> Edit:
        """What stands there stays."""
        return cls("pin", slot, _place(where))

    @classmethod
    def mask(cls, slot: str, where: Place | Sequence[int]) -> Edit:
        """What stands there is taken away and made anew."""
        return cls("mask", slot, _place(where))

    @classmethod
    def set(cls, slot: str, where: Sequence[int], tokens: Sequence[int]) -> Edit:
        """Put these tokens there; they stay."""
        return cls("set", slot, _place(where), tuple(tokens))

    def to_wire(self, of_step: int | None = None) -> CanvasEdit:
        """of_step: the step of the partial that characters and words are counted in."""
        place: dict[str, Any] = _wire_place(self.where, of_step)
        return CanvasEdit(action=self.action, slot=self.slot, tokens=list(self.tokens), **place)

    def to_wire_place(self, of_step: int | None = None) -> CanvasPlace:
        """Only where it is."""
        place: dict[str, Any] = _wire_place(self.where, of_step)
        return CanvasPlace(slot=self.slot, **place)


def _place(where: Place | Sequence[int]) -> Place:
    return where if isinstance(where, Box | Region | Chars | Words | Span) else tuple(where)


def _wire_place(where: Place, of_step: int | None) -> dict[str, object]:
    match where:
        case Box():
            return {"box": where}
        case Region():
            return {"mask_url": Picture(where.png)}
        case Chars():
            return {"span": where, "of_step": of_step}
        case Words():
            return {"words": where, "of_step": of_step}
        case Span():
            return {"ms": (1000 * where.start_s, 1000 * where.end_s)}
        case _:
            return {"positions": list(where)}


class Change:
    """A change that was asked for. `await` it, or `.wait()` with the sync client, for the step it was made at.

    Raises ServerError if the server refused it; the answer then goes on as it was.
    """

    def __init__(self, made: Coroutine[object, object, int], run: Wait) -> None:
        self._made = made  # of the step
        self._run = run

    def __await__(self) -> Generator[object, None, int]:
        return self._made.__await__()

    def wait(self) -> int:
        """The step it was made at, for the sync client."""
        return self._run(self._made)
