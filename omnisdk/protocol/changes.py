"""How an answer is changed while it is made: places on its canvas, edits of them, and changes that wait for a step."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from omnisdk.protocol.items import Item
from omnisdk.protocol.limits import MAX_CHANGE_STEP, MAX_SEED
from omnisdk.protocol.picture import Picture

Seed = Annotated[int, Meta(ge=0, le=MAX_SEED)]
AtStep = Annotated[int, Meta(ge=0, le=MAX_CHANGE_STEP)]


class CanvasPlace(Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a slot, named in one of these ways.

    positions: in the slot, from 0.
    box: of a picture, all cells that left, top, right, bottom touch, in its pixels; the last two are outside.
    mask_url: of a picture, all cells that what is transparent touches: a data URL of a PNG or WebP as large as it.
    span: of a text, the tokens that characters [start, end) of its partial touch. words: the same by words, from 0.
    of_step: which partial that is, by the step its omni.progress told; the one sent last if left out.
    ms: of speech, the tokens that sound between these times.
    """

    slot: str
    positions: list[int] | None = None
    box: tuple[int, int, int, int] | None = None
    mask_url: Picture | None = None
    span: tuple[int, int] | None = None
    words: tuple[int, int] | None = None
    of_step: int | None = None
    ms: tuple[float, float] | None = None


class CanvasEdit(CanvasPlace, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One change of what stands somewhere.

    action: pin, it stays; mask, it is filled anew; set, `tokens` are put there and stay.
    tokens: for set, one joint token id for each position.
    """

    action: Literal["pin", "mask", "set"]
    tokens: list[int] = []


class Steer(Struct, kw_only=True, omit_defaults=True):
    """The answer is to be one to another request from now on; what of it is as good for that stays.

    instructions: the request in other words; its speech and pictures stay. input: or the whole turn anew, user items.
    bound: what is filled stays where the new request gives it at least this share of the likelihood that the old one
    gave it; the rest is opened again. opened: or exactly what is opened.
    """

    instructions: str | None = None
    input: list[Item] | None = None
    bound: Annotated[float, Meta(ge=0, le=1)] = 0.1
    opened: list[CanvasPlace] | None = None


class EditChange(Struct, tag_field="type", tag="edit", kw_only=True):
    at_step: AtStep
    edits: list[CanvasEdit]


class TuneChange(Struct, tag_field="type", tag="tune", kw_only=True, omit_defaults=True):
    at_step: AtStep
    steps_left: int | None = None
    temperature: float | None = None


class SteerChange(Struct, tag_field="type", tag="steer", kw_only=True, omit_defaults=True):
    """steer: its input without the bytes of speech and pictures where the server tells it."""

    at_step: AtStep
    steer: Steer


class ReseedChange(Struct, tag_field="type", tag="reseed", kw_only=True):
    """From here on another seed, as a fork begins."""

    at_step: AtStep
    seed: Seed


class FinalizeChange(Struct, tag_field="type", tag="finalize", kw_only=True):
    at_step: AtStep


CanvasChange = EditChange | TuneChange | SteerChange | ReseedChange | FinalizeChange
