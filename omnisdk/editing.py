"""Changes to an answer that is being made: `await response.edit(Edit.mask("image", Box(0, 0, 40, 40)))`."""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeVar

from omnisdk.protocol.changes import CanvasEdit

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


@dataclass(frozen=True)
class Edit:
    """One change to one slot of an answer ("image", "text", "transcript", "speech").

    where: positions in the slot, from 0, or of a picture a Box. tokens: for `set`, a joint token id for each position.
    """

    action: Literal["pin", "mask", "set"]
    slot: str
    where: Box | tuple[int, ...]
    tokens: tuple[int, ...] = ()

    @classmethod
    def pin(cls, slot: str, where: Box | Sequence[int]) -> Edit:
        """What stands there stays."""
        return cls("pin", slot, _place(where))

    @classmethod
    def mask(cls, slot: str, where: Box | Sequence[int]) -> Edit:
        """What stands there is taken away and made anew."""
        return cls("mask", slot, _place(where))

    @classmethod
    def set(cls, slot: str, where: Sequence[int], tokens: Sequence[int]) -> Edit:
        """Put these tokens there; they stay."""
        return cls("set", slot, _place(where), tuple(tokens))

    def to_wire(self) -> CanvasEdit:
        """As it is sent."""
        if isinstance(self.where, Box):
            return CanvasEdit(action=self.action, slot=self.slot, box=self.where, tokens=list(self.tokens))
        return CanvasEdit(action=self.action, slot=self.slot, positions=list(self.where), tokens=list(self.tokens))


def _place(where: Box | Sequence[int]) -> Box | tuple[int, ...]:
    return where if isinstance(where, Box) else tuple(where)


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
