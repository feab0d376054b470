import numpy as np
import pytest

from omnisdk.protocol.changes import CanvasEdit
from omnisdk.protocol.errors import ProtocolError
from runtime.engine.edits import Edit
from runtime.engine.output import SlotState
from runtime.server.editing import edits_of, no_such_canvas
from runtime.server.model_card import PictureShape
from runtime.server.places import Board

PICTURE = PictureShape(width=80, height=40, columns=4, rows=2)


def slot(name: str, length: int, grid: tuple[int, int] | None = None) -> SlotState:
    modality = "image" if grid else "text"
    return SlotState(name, modality, np.full(length, -1), np.zeros(length, np.float32), grid=grid)  # type: ignore[arg-type]


SLOTS = (slot("transcript", 4), slot("image", 8, (2, 4)), slot("text", 4))


@pytest.mark.parametrize(
    ("box", "cells"),
    [
        ((0, 0, 80, 40), (0, 1, 2, 3, 4, 5, 6, 7)),
        ((20, 0, 40, 20), (1,)),
        ((19, 19, 41, 21), (0, 1, 2, 4, 5, 6)),
        ((79, 39, 80, 40), (7,)),
    ],
)
def test_a_box_names_all_cells_it_touches(box: tuple[int, int, int, int], cells: tuple[int, ...]) -> None:
    (edit,) = edits_of([CanvasEdit(action="mask", slot="image", box=box)], Board(SLOTS, {}, PICTURE))
    assert edit == Edit("mask", "image", cells)


def test_positions_and_tokens_pass_through() -> None:
    wanted = CanvasEdit(action="set", slot="text", positions=[2, 0], tokens=[7, 8])
    assert edits_of([wanted], Board(SLOTS, {"transcript": 4})) == (Edit("set", "text", (2, 0), (7, 8)),)


@pytest.mark.parametrize(
    ("edit", "param", "said"),
    [
        (CanvasEdit(action="mask", slot="sound", positions=[0]), "edits[0].slot", "it has transcript, image, text"),
        (CanvasEdit(action="mask", slot="transcript", positions=[2, 0]), "edits[0].positions", "first 1 positions"),
        (CanvasEdit(action="mask", slot="text"), "edits[0]", "name the place in one way"),
        (CanvasEdit(action="mask", slot="image", positions=[0], box=(0, 0, 1, 1)), "edits[0]", "in one way"),
        (CanvasEdit(action="mask", slot="text", box=(0, 0, 1, 1)), "edits[0].box", "is no picture"),
        (CanvasEdit(action="mask", slot="image", box=(0, 0, 81, 1)), "edits[0].box", "a picture of 80 x 40 px"),
        (CanvasEdit(action="mask", slot="text", positions=[-1]), "edits[0].positions", "positions 0 to 3"),
        (CanvasEdit(action="mask", slot="text", positions=[]), "edits[0].positions", "name one at least"),
        (CanvasEdit(action="mask", slot="text", positions=[1, 1]), "edits[0].positions", "twice"),
        (CanvasEdit(action="set", slot="text", positions=[0]), "edits[0].tokens", "send one for each"),
        (CanvasEdit(action="pin", slot="text", positions=[0], tokens=[1]), "edits[0].tokens", "to pin takes none"),
        (CanvasEdit(action="mask", slot="image", box=(5, 0, 5, 1)), "edits[0].box", "the last two greater"),
    ],
)
def test_what_cannot_be_meant_is_refused(edit: CanvasEdit, param: str, said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as raised:
        edits_of([edit], Board(SLOTS, {"transcript": 1}, PICTURE))
    assert raised.value.param == param


def test_what_comes_behind_what_was_sent_can_still_be_edited() -> None:
    wanted = CanvasEdit(action="mask", slot="transcript", positions=[1, 3])
    assert edits_of([wanted], Board(SLOTS, {"transcript": 1})) == (Edit("mask", "transcript", (1, 3)),)


def test_no_edits_and_no_canvas() -> None:
    with pytest.raises(ProtocolError, match="no edits came"):
        edits_of([], Board(SLOTS))
    assert "no answer is being made" in str(no_such_canvas("c", None))
    assert "is canvas_2" in str(no_such_canvas("c", "canvas_2"))
