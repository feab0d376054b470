"""Parts of an answer that a person gives before it is begun: words around gaps, a picture around a region."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import END_OF_TEXT, Vocabulary
from runtime.diffusion.canvas import Canvas
from runtime.engine.edits import Edit, EditError


@dataclass(frozen=True)
class GivenText:
    """pieces: words, and between two of them a gap. gap: positions of each gap; the model fills them."""

    slot: str
    pieces: tuple[str, ...]
    gap: int = 1


@dataclass(frozen=True)
class GivenImage:
    """pixels: (height, width, 3) uint8 RGB of any size. repainted: (height, width) bool, what the model paints anew."""

    slot: str
    pixels: NDArray[np.uint8]
    repainted: NDArray[np.bool_]


Given = Edit | GivenText | GivenImage
EncodeImage = Callable[[NDArray[np.uint8]], Tensor]


def as_edits(
    canvas: Canvas, given: Sequence[Given], vocabulary: Vocabulary, text: TextCodec, encode_image: EncodeImage
) -> tuple[Edit, ...]:
    """What is given, as tokens that are set. encode_image: to (rows, columns) codes as an answer has them.

    Raises EditError.
    """
    return tuple(
        part if isinstance(part, Edit)
        else _words(canvas, part, vocabulary, text) if isinstance(part, GivenText)
        else _picture(canvas, part, vocabulary, encode_image)
        for part in given
    )  # fmt: skip


def without_ends(canvas: Canvas, given: Sequence[Given]) -> Canvas:
    """With the ends of given texts where they are: no gap can end one early."""
    texts = {part.slot for part in given if isinstance(part, GivenText)}
    slots = (replace(s, forbidden=(*s.forbidden, *s.ends)) if s.name in texts else s for s in canvas.slots)
    return replace(canvas, slots=tuple(slots)) if texts else canvas


def num_positions(given: GivenText, text: TextCodec) -> int:
    """How long a slot must be to hold it and its end."""
    return sum(map(len, _encoded(given, text))) + given.gap * (len(given.pieces) - 1) + 1


def _encoded(given: GivenText, text: TextCodec) -> list[list[int]]:
    return [text.encode(piece) if piece.strip() else [] for piece in given.pieces]


def _words(canvas: Canvas, given: GivenText, vocabulary: Vocabulary, text: TextCodec) -> Edit:
    length = _length(canvas, given.slot, "text")
    places: list[int] = []
    tokens: list[int] = []
    at = 0
    for index, piece in enumerate(_encoded(given, text)):
        at += given.gap if index else 0
        places += range(at, at + len(piece))
        tokens += piece
        at += len(piece)
    if at >= length:
        raise EditError(
            f"the text given for slot {given.slot!r} takes {at + 1} positions with its gaps and its end, the slot has "
            f"{length}; give less, or ask for a longer slot"
        )
    places += range(at, length)
    tokens += [vocabulary[END_OF_TEXT]] * (length - at)
    return Edit("set", given.slot, tuple(places), tuple(tokens))


def _picture(canvas: Canvas, given: GivenImage, vocabulary: Vocabulary, encode_image: EncodeImage) -> Edit:
    length = _length(canvas, given.slot, "image")
    codes = encode_image(given.pixels)
    open_cells = _touched(given.repainted, *codes.shape)
    if codes.numel() != length:
        raise EditError(
            f"the picture given for slot {given.slot!r} takes {codes.numel()} positions, the slot has {length}"
        )
    if not open_cells.any():
        raise EditError(
            f"the mask of the picture given for slot {given.slot!r} opens nothing; open the region to be repainted"
        )
    places = np.flatnonzero(~open_cells)
    tokens = (codes.flatten() + vocabulary.image[0]).numpy()[places]
    return Edit("set", given.slot, tuple(places.tolist()), tuple(tokens.tolist()))


def _touched(mask: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.bool_]:
    """(rows, columns): cells that the mask touches, of the square in the middle that a model reads of a picture."""
    height, width = mask.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = mask[top : top + side, left : left + side]
    fine = math.ceil(max(rows, columns) / side)  # where a pixel is larger than a cell
    down, across = np.nonzero(square.repeat(fine, axis=0).repeat(fine, axis=1))
    cells = np.zeros((rows, columns), np.bool_)
    cells[down * rows // (side * fine), across * columns // (side * fine)] = True
    return cells


def _length(canvas: Canvas, name: str, modality: str) -> int:
    try:
        slot = canvas.slot(name)
    except KeyError as error:
        raise EditError(f"{error.args[0]}; give parts of one of them") from None
    if slot.modality != modality:
        raise EditError(f"{modality} was given for slot {name!r}, which holds {slot.modality}; give {slot.modality}")
    return slot.length
