"""An answer that the client lays out: its slots, in the order they are filled, as a recipe."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.settings import CanvasSlot
from runtime.diffusion.canvas import Modality
from runtime.engine.recipe import PROMPT, Recipe, SlotRecipe
from runtime.server.model_card import ModelCard, reads

PATH = "response.omni.canvas"
NAME = "canvas"


def laid_out(card: ModelCard, held: Collection[Modality], wanted: Sequence[CanvasSlot]) -> Recipe:
    """The slots come from the recipes that read what the turn holds; what else a recipe says, from the one with most.

    Raises ProtocolError.
    """
    media = set(held) - {"text"}
    readers = [recipe for recipe in card.recipes.values() if set(reads(recipe)) - {"text"} == media]
    names = [slot.slot for slot in wanted]
    # The one with most of them last: its numbers go before those of others.
    readers.sort(key=lambda recipe: len({slot.name for slot in recipe.slots} & set(names)))
    known = {slot.name: slot for recipe in readers for slot in recipe.slots}
    for index, name in enumerate(names):
        if name not in known:
            can = f"can hold {', '.join(sorted(known))}" if known else "cannot be given by this model"
            raise _refused(
                f"slot {name[:80]!r} came; an answer to a turn of {' and '.join(sorted(held)) or 'nothing'} {can}",
                index,
            )
        if name in names[:index]:
            raise _refused(f"slot {name!r} came twice; a canvas holds each slot once", index)
        length = wanted[index].length
        if known[name].modality == "image" and length is not None and (misfit := card.misfit(length)) is not None:
            raise _refused(misfit, index, "length")
    slots = [_slot(known[slot.slot], slot, index, card.speech_code_ms) for index, slot in enumerate(wanted)]
    slots = [_saying(slot, names[:index], held, index) for index, slot in enumerate(slots)]
    return replace(readers[-1], name=NAME, slots=tuple(slots))


def _saying(slot: SlotRecipe, before: Sequence[str], held: Collection[Modality], index: int) -> SlotRecipe:
    """A speech slot that says what another one says, which stands before it; else what the turn has written."""
    if slot.says is None or slot.says in before:
        return slot
    if "text" in held:
        return replace(slot, says=PROMPT)
    raise _refused(
        f"slot {slot.name!r} has no words to say; lay out a text slot before it, or write them in the turn", index
    )


def _slot(recipe: SlotRecipe, wanted: CanvasSlot, index: int, code_ms: float | None) -> SlotRecipe:
    recipe = replace(recipe, beside=wanted.beside)
    if wanted.max_ms is not None:
        return _bounded(recipe, wanted, index, code_ms)
    return recipe if wanted.length is None else _shortened(replace(recipe, adaptive=None), wanted.length)


def _bounded(recipe: SlotRecipe, wanted: CanvasSlot, index: int, code_ms: float | None) -> SlotRecipe:
    """Speech of so long at most."""
    if recipe.modality != "speech" or wanted.length is not None:
        raise _refused("max_ms bounds a slot of speech that is given no length; leave one of them out", index, "max_ms")
    if code_ms is None:
        raise _refused("this model does not tell how long its speech lasts; give length, in tokens", index, "max_ms")
    assert wanted.max_ms is not None
    length = int(wanted.max_ms / code_ms)
    if length < 1:
        raise _refused(f"{wanted.max_ms} ms of speech came; one token of it lasts {code_ms:g} ms", index, "max_ms")
    return _shortened(recipe, length) if length < recipe.length else recipe


def _shortened(recipe: SlotRecipe, length: int) -> SlotRecipe:
    """Steps keep their share of the length; words that are laid along it need all of them, however short they are."""
    steps = recipe.steps if recipe.says is not None else max(1, recipe.steps * length // recipe.length)
    return replace(recipe, length=length, steps=min(steps, length))


def _refused(message: str, index: int, field: str = "slot") -> ProtocolError:
    return ProtocolError(message, code=errors.UNSUPPORTED_VALUE, param=f"{PATH}[{index}].{field}")
