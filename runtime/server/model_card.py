"""What the server tells of the model behind it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from runtime.diffusion.canvas import Modality
from runtime.engine.recipe import Recipe
from runtime.engine.rules import FollowUps, Wording

MODALITIES: tuple[Modality, ...] = ("text", "speech", "image")
NAMED_BY_INPUTS = "_to_"  # in the name of a recipe, between what it reads and what it makes
READS: Mapping[str, tuple[Modality, ...]] = {"captioning": ("image",)}  # of recipes whose names do not say it


@dataclass(frozen=True)
class PictureShape:
    """A picture's pixels, and the grid of its cells. fixed: whether the model draws no other number of cells."""

    width: int
    height: int
    columns: int
    rows: int
    fixed: bool = False


@dataclass(frozen=True)
class ModelCard:
    """A model as clients see it.

    recipes: what it can do, by name. max_speech_s: the longest spoken turn.
    max_turns: how many turns it reads, the last ones; None for all of the conversation.
    speech_code_ms: how long a speech token sounds, of a model that speaks.
    follow_ups: how wishes about the last picture are put in full, for a model that does not read what was said before.
    wordings: other ways to say what the model knows.
    """

    name: str
    recipes: Mapping[str, Recipe]
    picture: PictureShape | None = None
    speech_sample_rate_hz: int = 16_000
    max_speech_s: float = 30.0
    max_turns: int | None = None
    speech_code_ms: float | None = None
    follow_ups: FollowUps | None = None
    wordings: tuple[Wording, ...] = ()

    @property
    def modalities_in(self) -> tuple[Modality, ...]:
        read = {modality for recipe in self.recipes.values() for modality in reads(recipe)}
        return tuple(modality for modality in ("text", "speech", "image") if modality in read)

    @property
    def modalities_out(self) -> tuple[Modality, ...]:
        made = {modality for recipe in self.recipes.values() for modality in makes(recipe)}
        return tuple(modality for modality in ("text", "image", "speech") if modality in made)

    @property
    def speaks(self) -> bool:
        return "speech" in self.modalities_out

    def misfit(self, length: int) -> str | None:
        """Why a picture cannot take so many positions; None if it can."""
        shape = self.picture
        if shape is not None and shape.fixed and length != shape.columns * shape.rows:
            draws = f"{shape.rows} x {shape.columns}; send {shape.columns * shape.rows}"
            return f"{length} positions came for a picture; this model draws {draws}"
        if math.isqrt(length) ** 2 != length:
            return f"{length} positions came for a picture; send a square number"
        return None

    @property
    def slot_names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(slot.name for recipe in self.recipes.values() for slot in recipe.slots))


def reads(recipe: Recipe) -> tuple[Modality, ...]:
    """What the turn must hold that the recipe answers."""
    named, says, _ = recipe.name.partition(NAMED_BY_INPUTS)
    if not says:
        return READS.get(recipe.name, ())
    return tuple(modality for modality in MODALITIES if modality in named.split("_"))


def makes(recipe: Recipe) -> tuple[Modality, ...]:
    """What the answer may hold, in the order it is finished."""
    return tuple(dict.fromkeys(slot.modality for slot in recipe.slots))
