"""The recipes of a model for people to read: what each number is, and what it is set to."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from itertools import chain
from pathlib import Path
from typing import Any

from runtime.engine.model_file import find_model_file, read_model_file
from runtime.engine.recipe import EMBEDDED_RECIPES, PUBLISHED_RECIPES, Recipe, SlotRecipe
from runtime.models.weight_files import CheckpointError

NAMED_MODELS: Mapping[str, Mapping[str, Recipe]] = {"embedded": EMBEDDED_RECIPES, "published": PUBLISHED_RECIPES}

# What each number of a slot is; those not said here are not for people to change.
EXPLAINED: Mapping[str, str] = {
    "length": "positions of the slot; where it follows the conversation, the most there may be",
    "steps": "denoise steps that fill it; where the length follows the conversation, for the longest",
    "schedule": "share still masked over progress: linear, or cosine (slow at first, fast at the end)",
    "confidence": "what ranks positions: the likeliest token's probability, its margin, or the entropy",
    "confidence_noise": "noise on the rank, fading with progress; 0 is off",
    "prior_weight": "how much of what all positions have in common is left out of the rank; 0 is off",
    "commit": "what a step may fill beyond the schedule: schedule (nothing), threshold, entropy_bound, certain_answer, "
    "stable_prefix",
    "commit_bound": "the bound of commit: a probability, nats, a margin, or a probability",
    "revise_below": "what was filled with less confidence is opened again once; 0 is off",
    "refresh_every": "what changes little is worked out anew every so many steps; 1 is off",
    "temperature": "0 takes the likeliest token, more samples",
    "top_k": "only so many of the likeliest tokens may be sampled; 0 is off",
    "top_p": "only the likeliest tokens up to this probability may be sampled; 1 is off",
    "repeat_penalty": "against tokens that stand in the slot already; 1 is off",
    "position_penalty": "against filling late positions early; 1 is off",
    "hypotheses": "answers tried side by side, where the model file says what they are held against; 1 is off",
    "guidance_scale": "how much the request counts, by comparing with nothing asked; 0 is off",
}

LABEL = max(map(len, EXPLAINED))  # width of the first column


def recipes_of(model: str) -> Mapping[str, Recipe]:
    """model: "embedded", "published", or a model's folder or file. Reads no weights. Raises CheckpointError."""
    if model in NAMED_MODELS:
        return NAMED_MODELS[model]
    if not Path(model).exists():
        raise CheckpointError(f"{model}: no such model; give {' or '.join(NAMED_MODELS)}, or the folder of a model.")
    file = read_model_file(find_model_file(Path(model)))
    return NAMED_MODELS["published" if file.vocabulary == "published" else "embedded"]


def chosen(recipes: Mapping[str, Recipe], name: str | None) -> list[Recipe]:
    """All of them, or the one named. Raises ValueError if there is none of that name."""
    if name is None:
        return list(recipes.values())
    if name not in recipes:
        raise ValueError(f"there is no recipe {name!r}; this model has {', '.join(recipes)}")
    return [recipes[name]]


def as_fields(recipes: Sequence[Recipe]) -> dict[str, Any]:
    """The same for JSON, every number by recipe and slot."""
    return {recipe.name: asdict(recipe) for recipe in recipes}


def as_text(recipes: Sequence[Recipe]) -> str:
    """Each recipe with its words and a table of its slots, a row a number; then what the numbers are.

    Of several recipes those numbers are left out that are off, a single one is shown with all of them.
    """
    told = {recipe.name: list(EXPLAINED) if len(recipes) == 1 else _used(recipe.slots) for recipe in recipes}
    blocks = ["\n".join(_lines(recipe, told[recipe.name])) for recipe in recipes]
    shown = set(chain.from_iterable(told.values()))
    explained = [f"  {name:<{LABEL}}  {meaning}" for name, meaning in EXPLAINED.items() if name in shown]
    return "\n\n".join([*blocks, "\n".join(["what the numbers are", *explained])]) + "\n"


def _lines(recipe: Recipe, numbers: Sequence[str]) -> Iterator[str]:
    yield recipe.name
    for label, words in (("task", recipe.task), ("system", recipe.system), ("instruction", recipe.instruction)):
        if words:
            yield f"  {label:<{LABEL}}  {words}"
    columns = [[slot.name, *(_shown(slot, name) for name in numbers)] for slot in recipe.slots]
    widths = [max(map(len, column)) for column in columns]
    for label, *cells in zip(("slot", *numbers), *columns, strict=True):
        row = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield f"  {label:<{LABEL}}  {row}".rstrip()


def _used(slots: Sequence[SlotRecipe]) -> list[str]:
    """The numbers that are on in one of the slots."""
    defaults = {field.name: field.default for field in fields(SlotRecipe)}
    return [name for name in EXPLAINED if any(getattr(slot, name) != defaults[name] for slot in slots)]


def _shown(slot: SlotRecipe, name: str) -> str:
    value = getattr(slot, name)
    if name == "length" and slot.adaptive is not None:
        return f"{slot.adaptive.ratio:g} a token of the {slot.adaptive.of}, at most {value}"
    return f"{value:g}" if isinstance(value, float) else str(value)
