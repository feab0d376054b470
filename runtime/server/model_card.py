"""What the server tells of the model behind it."""

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.engine.recipe import Recipe


@dataclass(frozen=True)
class PictureShape:
    """A picture's pixels, and the grid of its cells."""

    width: int
    height: int
    columns: int
    rows: int


@dataclass(frozen=True)
class ModelCard:
    """A model as clients see it.

    recipes: what it can do, by name. max_speech_s: the longest spoken turn.
    max_turns: how many turns it reads, the last ones; None for all of the conversation.
    """

    name: str
    recipes: Mapping[str, Recipe]
    picture: PictureShape | None = None
    speech_sample_rate_hz: int = 16_000
    max_speech_s: float = 30.0
    max_turns: int | None = None

    @property
    def modalities_in(self) -> tuple[str, ...]:
        names = " ".join(name.partition("_to_")[0] for name in self.recipes)
        return tuple(modality for modality in ("text", "speech", "image") if modality in names)

    @property
    def modalities_out(self) -> tuple[str, ...]:
        made = {slot.modality for recipe in self.recipes.values() for slot in recipe.slots}
        return tuple(modality for modality in ("text", "image", "speech") if modality in made)
