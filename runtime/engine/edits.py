"""What a person changes in an answer while it is made, or fixes before it begins: keep, open again, put."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from runtime.diffusion.canvas import Canvas, Slot


class EditError(ValueError):
    """An edit that cannot be made: what came, what is allowed, what to do."""


@dataclass(frozen=True)
class Edit:
    """One change to one slot.

    action: pin, what stands there stays; mask, it is filled anew; set, `tokens` are put there and stay.
    places: positions within the slot, from 0. tokens: for set, one joint token id for each place.
    """

    action: Literal["pin", "mask", "set"]
    slot: str
    places: tuple[int, ...]
    tokens: tuple[int, ...] = ()


def apply(canvas: Canvas, edits: Sequence[Edit]) -> Canvas:
    """The canvas with all edits made, in their order, or none of them. Raises EditError."""
    for edit in edits:
        canvas = _apply(canvas, edit)
    return canvas


def _apply(canvas: Canvas, edit: Edit) -> Canvas:
    slot = _slot(canvas, edit)
    positions = torch.tensor(_checked_places(slot, edit), dtype=torch.int64) + slot.start
    if edit.action == "mask":
        return canvas.reopen(positions)
    if edit.action == "set":
        _check_tokens(canvas, slot, edit)
        canvas = canvas.fill(positions, torch.tensor(edit.tokens), torch.ones(len(positions)))
    else:
        _check_filled(canvas, slot, edit)
    return canvas.pin(positions)


def _slot(canvas: Canvas, edit: Edit) -> Slot:
    try:
        return canvas.slot(edit.slot)
    except KeyError as error:
        raise EditError(f"{error.args[0]}; name one of them") from None


def _checked_places(slot: Slot, edit: Edit) -> tuple[int, ...]:
    outside = [place for place in edit.places if not 0 <= place < slot.length]
    if outside:
        raise EditError(
            f"position {outside[0]} came for slot {slot.name!r}, which has positions 0 to {slot.length - 1}; "
            "choose among them"
        )
    if not edit.places:
        raise EditError(f"the edit of slot {slot.name!r} names no position; name one at least")
    if len(set(edit.places)) < len(edit.places):
        raise EditError(f"the edit of slot {slot.name!r} names a position twice; name each once")
    return edit.places


def _check_tokens(canvas: Canvas, slot: Slot, edit: Edit) -> None:
    if len(edit.tokens) != len(edit.places):
        raise EditError(f"{len(edit.tokens)} tokens came for {len(edit.places)} positions; send one for each")
    first, stop = slot.vocabulary
    barred = {canvas.mask_id, *slot.forbidden}
    wrong = [token for token in edit.tokens if not first <= token < stop or token in barred]
    if wrong:
        inside = sorted(token for token in barred if first <= token < stop)
        raise EditError(
            f"token {wrong[0]} cannot stand in slot {slot.name!r}; tokens {first} to {stop - 1} can"
            + (", but for " + ", ".join(map(str, inside)) if inside else "")
        )


def _check_filled(canvas: Canvas, slot: Slot, edit: Edit) -> None:
    tokens = canvas.tokens_of(slot)
    empty = [place for place in edit.places if int(tokens[place]) == canvas.mask_id]
    if empty:
        raise EditError(
            f"position {empty[0]} of slot {slot.name!r} is still open, so there is nothing to keep; set it, or pin it "
            "when it is filled"
        )
