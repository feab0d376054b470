"""What may be changed in an answer on its way. With its seed and the changes made it can be made again, exactly."""

import math
from dataclasses import dataclass

from runtime.engine.edits import Edit, EditError
from runtime.engine.recipe import Recipe
from runtime.engine.request import Turn

KEPT_SHARE = 0.1  # of the embedded model's things on another background, most of the thing stays


@dataclass(frozen=True)
class Editing:
    """All of the edits or none."""

    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Tuning:
    """steps_left: steps for all that is still open. temperature: from now on, of every slot. None leaves as it is."""

    steps_left: int | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Steering:
    """The answer is to be that of other turns from now on.

    bound: what was filled stays where the new turns give it at least this share of the likelihood it had; the rest is
    opened again. opened: where given, exactly these edits, which mask, say what is opened.
    told_as: how whoever asked for it knows it; the engine only keeps it for the record.
    """

    turns: tuple[Turn, ...]
    bound: float = KEPT_SHARE
    opened: tuple[Edit, ...] | None = None
    told_as: object = None


@dataclass(frozen=True)
class Reseeding:
    """Chance goes on from another seed."""

    seed: int


@dataclass(frozen=True)
class Finalizing:
    """All that is open is filled in the next step."""


Change = Editing | Tuning | Steering | Reseeding | Finalizing


@dataclass(frozen=True)
class Dated:
    """A change and after how many steps it is made."""

    at_step: int
    change: Change


@dataclass(frozen=True)
class Record:
    """How an answer was made. recipe: with the lengths it got."""

    recipe: Recipe
    seed: int
    changes: tuple[Dated, ...]


def check_tuning(tuning: Tuning) -> None:
    """Raises EditError."""
    if tuning.steps_left is not None and tuning.steps_left < 1:
        raise EditError(f"{tuning.steps_left} steps left came; 1 or more are needed; to end now, finalize")
    if tuning.temperature is not None and not 0 <= tuning.temperature < math.inf:
        raise EditError(f"temperature {tuning.temperature} came; it must be 0 or above")
