"""Edits as clients send them -> as the engine takes them."""

from collections.abc import Sequence

from omnisdk.protocol import errors
from omnisdk.protocol.changes import CanvasEdit, CanvasPlace
from omnisdk.protocol.errors import ProtocolError
from runtime.engine.edits import Edit
from runtime.server.places import Board


def no_such_canvas(canvas_id: str, active: str | None, what: str = "edited") -> ProtocolError:
    """what: cannot be done to it."""
    known = "no answer is being made" if active is None else f"the canvas being filled is {active}"
    return ProtocolError(
        f"canvas {canvas_id[:80]!r} cannot be {what}: {known}; a canvas can between its omni.canvas.created and "
        "omni.canvas.done",
        code=errors.EDIT_NOT_ACTIVE,
        param="canvas_id",
    )


def edits_of(wanted: Sequence[CanvasEdit], board: Board, path: str = "edits") -> tuple[Edit, ...]:
    """Raises ProtocolError."""
    if not wanted:
        raise ProtocolError("no edits came; send one at least", code=errors.INVALID_VALUE, param=path)
    return tuple(_edit_of(edit, board, f"{path}[{index}]") for index, edit in enumerate(wanted))


def _edit_of(edit: CanvasEdit, board: Board, path: str) -> Edit:
    positions = board.positions(edit, path)
    needed = len(positions) if edit.action == "set" else 0
    if len(edit.tokens) != needed:
        rule = "send one for each" if edit.action == "set" else f"to {edit.action} takes none, only to set does"
        raise ProtocolError(
            f"{len(edit.tokens)} tokens came for {len(positions)} positions; {rule}",
            code=errors.INVALID_VALUE,
            param=f"{path}.tokens",
        )
    return Edit(edit.action, edit.slot, positions, tuple(edit.tokens))


def opened_by(wanted: Sequence[CanvasPlace], board: Board, path: str) -> tuple[Edit, ...]:
    """Edits that open these places. Raises ProtocolError."""
    return tuple(
        Edit("mask", place.slot, board.positions(place, f"{path}[{index}]")) for index, place in enumerate(wanted)
    )
