import io

import numpy as np
import pytest
from PIL import Image as Picture_

from omnisdk.protocol.changes import CanvasPlace
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.picture import Picture
from runtime.engine.output import SlotState, TextSpan
from runtime.server.model_card import PictureShape
from runtime.server.places import KEPT_READINGS, Board, Readings

SHAPE = PictureShape(width=80, height=80, columns=10, rows=10)


def slot(name: str, modality: str, length: int) -> SlotState:
    grid = (10, 10) if modality == "image" else None
    return SlotState(name, modality, np.full(length, -1), np.zeros(length, np.float32), grid=grid)  # type: ignore[arg-type]


SLOTS = (slot("image", "image", 100), slot("text", "text", 8), slot("speech", "speech", 10))


def reading(text: str, *spans: TextSpan) -> SlotState:
    return SlotState("text", "text", np.zeros(8, np.int64), np.zeros(8, np.float32), text=text, spans=spans)


def board(**told: int) -> Board:
    """The text: "two▒▒ apples on", of positions 0; 1, 2; 3 and 4, half a character each; 5."""
    spans = (
        TextSpan(0, 3, False, 0.9, (0, 1)),
        TextSpan(3, 5, True, 0.0, (1, 3)),
        TextSpan(5, 12, False, 0.9, (3, 5)),
        TextSpan(12, 15, False, 0.9, (5, 6)),
    )
    readings = Readings()
    readings.note(3, [reading("cats", TextSpan(0, 4, False, 0.5, (0, 1)))])
    readings.note(4, [reading("two▒▒ apples on", *spans)])
    return Board(SLOTS, told, SHAPE, readings, code_ms=80.0)


def mask_png(left: int, top: int, right: int, bottom: int, side: int = 80) -> Picture:
    pixels = np.full((side, side, 4), 255, np.uint8)
    pixels[top:bottom, left:right, 3] = 0
    buffer = io.BytesIO()
    Picture_.fromarray(pixels).save(buffer, "PNG")
    return Picture(buffer.getvalue())


@pytest.mark.parametrize(
    ("place", "positions"),
    [
        ({"slot": "text", "span": (0, 1)}, (0,)),
        ({"slot": "text", "span": (2, 4)}, (0, 1)),
        ({"slot": "text", "span": (4, 5)}, (2,)),
        ({"slot": "text", "span": (7, 9)}, (3, 4)),
        ({"slot": "text", "span": (3, 15)}, (1, 2, 3, 4, 5)),
        ({"slot": "text", "words": (0, 1)}, (0, 1, 2)),
        ({"slot": "text", "words": (1, 3)}, (3, 4, 5)),
        ({"slot": "text", "words": (0, 1), "of_step": 3}, (0,)),
        ({"slot": "speech", "ms": (0, 80)}, (0,)),
        ({"slot": "speech", "ms": (100, 250)}, (1, 2, 3)),
        ({"slot": "image", "mask_url": mask_png(8, 0, 24, 8)}, (1, 2)),
        ({"slot": "image", "mask_url": mask_png(15, 7, 17, 9)}, (1, 2, 11, 12)),
        ({"slot": "image", "box": (0, 0, 9, 9)}, (0, 1, 10, 11)),
    ],
)
def test_places_become_positions(place: dict[str, object], positions: tuple[int, ...]) -> None:
    assert board().positions(CanvasPlace(**place), "p") == positions  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("place", "param", "said"),
    [
        ({"slot": "text", "span": (4, 4)}, "p.span", "characters 4 to 4 came of a text that has 15"),
        ({"slot": "text", "words": (2, 4)}, "p.words", "words 2 to 4 came of a text that has 3"),
        ({"slot": "text", "span": (0, 1), "of_step": 2}, "p.span", "at step 2 is remembered"),
        ({"slot": "image", "span": (0, 1)}, "p.span", "is no text"),
        ({"slot": "text", "ms": (0, 1)}, "p.ms", "is no speech"),
        ({"slot": "speech", "ms": (0, 801)}, "p.ms", "at most 800 ms"),
        ({"slot": "speech", "ms": (5, 5)}, "p.ms", "a beginning and a later end"),
        ({"slot": "speech", "ms": (0, 100)}, "p.ms", "the first 2 positions"),
        ({"slot": "image", "mask_url": mask_png(0, 0, 4, 4, side=40)}, "p.mask_url", "same size"),
        ({"slot": "image", "mask_url": mask_png(0, 0, 0, 0)}, "p.mask_url", "nothing of the mask is transparent"),
        ({"slot": "image", "mask_url": Picture(b"no")}, "p.mask_url", "not an image"),
        ({"slot": "image", "box": (0, 0, 1, 1), "positions": [0]}, "p", "in one way"),
    ],
)
def test_places_that_are_none_are_refused(place: dict[str, object], param: str, said: str) -> None:
    with pytest.raises(ProtocolError, match=said) as raised:
        board(speech=2).positions(CanvasPlace(**place), "p")  # type: ignore[arg-type]
    assert raised.value.param == param


def test_without_partials_a_text_has_no_spans_to_name() -> None:
    with pytest.raises(ProtocolError, match="was sent yet"):
        Board(SLOTS).positions(CanvasPlace(slot="text", span=(0, 1)), "p")


def test_old_partials_are_forgotten() -> None:
    readings = Readings()
    for step in range(KEPT_READINGS + 1):
        readings.note(step, [reading(str(step))])
    assert readings.at(None)["text"].text == str(KEPT_READINGS)
    assert readings.at(1)["text"].text == "1"
    with pytest.raises(KeyError):
        readings.at(0)
