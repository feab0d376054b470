"""The numbers a client may change: checked against the model, and put into its recipe."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from omnisdk.protocol import errors
from omnisdk.protocol import settings as wire
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.settings import OmniSettings, SlotSettings, TokenLimit
from runtime.engine.output import SlotState
from runtime.engine.recipe import Recipe, SlotRecipe
from runtime.engine.truncation import Truncation
from runtime.server.model_card import ModelCard
from runtime.server.task import TRANSCRIPT, named_recipe

S = TypeVar("S", SlotRecipe, SlotState)


def check_generation(card: ModelCard, omni: OmniSettings | UnsetType, path: str) -> None:
    """Whether the model has the recipe and the slots that are named. Raises ProtocolError."""
    if omni is UNSET:
        return
    if omni.recipe is not UNSET and omni.recipe is not None:
        named_recipe(card, omni.recipe, f"{path}.recipe")
    for name, own in ({} if omni.generation is UNSET else omni.generation).items():
        if name not in card.slot_names:
            raise ProtocolError(
                f"there is no slot {name[:80]!r}; the slots of this model's recipes are {', '.join(card.slot_names)}",
                code=errors.INVALID_VALUE,
                param=f"{path}.generation.{name[:80]}",
            )
        _check_length(card, name, own, f"{path}.generation.{name}.length")


def _check_length(card: ModelCard, name: str, settings: SlotSettings, param: str) -> None:
    """Whether a picture can be that large. Raises ProtocolError."""
    drawn = any(slot.name == name and slot.modality == "image" for r in card.recipes.values() for slot in r.slots)
    length = settings.length
    if drawn and isinstance(length, int) and (misfit := card.misfit(length)) is not None:
        raise ProtocolError(misfit, code=errors.INVALID_VALUE, param=param)


def with_generation(recipe: Recipe, omni: OmniSettings) -> Recipe:
    """The recipe with the client's numbers in it; those of a slot's own settings go before `steps`."""
    own = {} if omni.generation is UNSET else omni.generation
    slots = (_with_steps(slot, omni.steps) for slot in recipe.slots)
    return replace(recipe, slots=tuple(_with_settings(slot, own.get(slot.name, SlotSettings())) for slot in slots))


def _with_steps(slot: SlotRecipe, steps: int | UnsetType | None) -> SlotRecipe:
    return replace(slot, steps=steps) if slot.modality == "image" and isinstance(steps, int) else slot


def _with_settings(slot: SlotRecipe, settings: SlotSettings) -> SlotRecipe:
    given = {name: value for name, value in msgspec.structs.asdict(settings).items() if value not in (UNSET, None)}
    if "length" in given:
        steps = max(1, slot.steps * given["length"] // slot.length)
        slot = replace(slot, adaptive=None, steps=steps)
    if given.keys() - {"length"}:  # who says how it is filled has it filled so
        slot = replace(slot, hypotheses=1)
    return replace(slot, **given)


def truncation_of(wanted: wire.Truncation | UnsetType | None) -> Truncation:
    """What is left out of too long a conversation, as the session has it."""
    if isinstance(wanted, wire.RetentionRatio):
        limits = wanted.token_limits
        return Truncation(most_positions=limits.post_instructions if limits else None, share=wanted.retention_ratio)
    return Truncation(enabled=wanted != "disabled")


def limited(recipe: Recipe, max_tokens: TokenLimit) -> Recipe:
    """The recipe with no slot of written text longer than `max_tokens`."""
    if max_tokens == "inf":
        return recipe
    written = _written(recipe.slots)
    slots = (_limited(slot, max_tokens) if slot in written else slot for slot in recipe.slots)
    return replace(recipe, slots=tuple(slots))


def was_cut(slots: Sequence[SlotState], max_tokens: TokenLimit) -> bool:
    """Whether what is written stops at `max_tokens` without an end."""
    return any(slot.full and len(slot.tokens) == max_tokens for slot in _written(slots))


def _written(slots: Sequence[S]) -> list[S]:
    """The text that is the answer. What was heard is that only where nothing comes after it."""
    return [slot for slot in slots if slot.modality == "text" and (slot.name != TRANSCRIPT or slot is slots[-1])]


def _limited(slot: SlotRecipe, max_tokens: int) -> SlotRecipe:
    if slot.length <= max_tokens:
        return slot
    return replace(slot, length=max_tokens, steps=max(1, slot.steps * max_tokens // slot.length))
