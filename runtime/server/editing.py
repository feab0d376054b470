"""Edits as clients send them -> as the engine takes them."""

import math
from collections.abc import Mapping, Sequence

from omnisdk.protocol import errors
from omnisdk.protocol.changes import CanvasEdit, CanvasPlace
from omnisdk.protocol.errors import ProtocolError
from runtime.engine.edits import Edit
from runtime.engine.output import SlotState
from runtime.server.model_card import PictureShape

Box = tuple[int, int, int, int]


def no_such_canvas(canvas_id: str, active: str | None) -> ProtocolError:
    known = "no answer is being made" if active is None else f"the canvas being filled is {active}"
    return ProtocolError(
        f"canvas {canvas_id[:80]!r} cannot be edited: {known}; edit a canvas between its omni.canvas.created and "
        "omni.canvas.done",
        code=errors.EDIT_NOT_ACTIVE,
        param="canvas_id",
    )


def edits_of(
    wanted: Sequence[CanvasEdit],
    slots: Sequence[SlotState],
    told: Mapping[str, int],
    picture: PictureShape | None,
    path: str = "edits",
) -> tuple[Edit, ...]:
    """slots: as they are laid out. told: how many positions, from a slot's beginning, were sent as final already.

    Raises ProtocolError.
    """
    if not wanted:
        raise _refused("no edits came; send one at least", path)
    return tuple(_edit(edit, f"{path}[{index}]", slots, told, picture) for index, edit in enumerate(wanted))


def masking(place: CanvasPlace) -> CanvasEdit:
    """The edit that opens a place."""
    fields = {name: getattr(place, name) for name in place.__struct_fields__}
    return CanvasEdit(action="mask", **fields)


def _edit(
    edit: CanvasEdit,
    path: str,
    slots: Sequence[SlotState],
    told: Mapping[str, int],
    picture: PictureShape | None,
) -> Edit:
    slot = next((slot for slot in slots if slot.name == edit.slot), None)
    if slot is None:
        names = ", ".join(slot.name for slot in slots) or "none yet, for the answer has not begun"
        raise _refused(f"there is no slot {edit.slot[:80]!r} in this canvas; it has {names}", f"{path}.slot")
    if (edit.positions is None) == (edit.box is None):
        raise _refused("give either positions or a box, one of them", path)
    places = edit.positions if edit.positions is not None else _cells(edit.box, path, slot, picture)
    sent = told.get(edit.slot, 0)
    if any(place < sent for place in places or ()):
        raise _refused(
            f"the first {sent} positions of slot {edit.slot!r} were sent as final already; edit what comes later, or "
            "earlier in time",
            f"{path}.positions",
        )
    return Edit(edit.action, edit.slot, tuple(places or ()), tuple(edit.tokens))


def _cells(box: Box | None, path: str, slot: SlotState, picture: PictureShape | None) -> list[int]:
    """Positions of the cells that the box touches, row by row."""
    assert box is not None
    if slot.grid is None or picture is None:
        raise _refused(f"slot {slot.name!r} is no picture; name its positions", f"{path}.box")
    rows, columns = slot.grid
    left, top, right, bottom = box
    if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
        raise _refused(
            f"the box {list(box)} came for a picture of {picture.width} x {picture.height} px; send left, top, right, "
            "bottom inside of it, the last two greater",
            f"{path}.box",
        )
    across = range(left * columns // picture.width, math.ceil(right * columns / picture.width))
    down = range(top * rows // picture.height, math.ceil(bottom * rows / picture.height))
    return [row * columns + column for row in down for column in across]


def _refused(message: str, param: str) -> ProtocolError:
    return ProtocolError(message, code=errors.INVALID_VALUE, param=param)
