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
from runtime.engine.recipe import Recorded

QUIET = 0.03  # of the loudest: less is silence around what is said
# As the words of the embedded model's voice are timed: the first begins a little after it is heard, the last lasts on.
HEARD_BEFORE_S, DYING_AWAY_S = 0.06, 0.27


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


@dataclass(frozen=True)
class GivenSpeech:
    """pcm: (samples,) int16, mono. open_s: from when to when it is said anew, in seconds."""

    slot: str
    pcm: NDArray[np.int16]
    sample_rate_hz: int
    open_s: tuple[float, float]


Given = Edit | GivenText | GivenImage | GivenSpeech


@dataclass(frozen=True)
class Encoders:
    """What makes tokens of given parts.

    image: to (rows, columns) codes as an answer has them. speech: to (n,) codes, of samples at a rate; None where the
    model has nothing that does. code_s: how long such a code sounds.
    """

    vocabulary: Vocabulary
    text: TextCodec
    image: Callable[[NDArray[np.uint8]], Tensor]
    speech: Callable[[NDArray[np.int16], int], Tensor] | None = None
    code_s: float = 0.0

    def said(self, given: GivenSpeech) -> Tensor:
        """(n,) codes. Raises EditError."""
        if self.speech is None:
            raise EditError(
                f"speech was given for slot {given.slot!r}, and this model has no part that makes tokens of sound; "
                "give text or a picture"
            )
        return self.speech(given.pcm, given.sample_rate_hz)

    def recorded(self, given: GivenSpeech) -> Recorded:
        """Where the words of a recording lie, which is what is not silence around them."""
        samples = math.ceil(given.sample_rate_hz * self.code_s)
        num_codes = math.ceil(len(given.pcm) / samples)
        padded = np.zeros(num_codes * samples, np.float32)
        padded[: len(given.pcm)] = given.pcm[: len(padded)]
        loudness = np.sqrt(np.square(padded.reshape(num_codes, samples)).mean(-1))
        loud = np.flatnonzero(loudness > QUIET * loudness.max())
        again, until = (seconds / self.code_s for seconds in given.open_s)
        if not len(loud):
            return Recorded(0.0, float(num_codes), again, until)
        first, stop = loud[0] + HEARD_BEFORE_S / self.code_s, loud[-1] + 1 + DYING_AWAY_S / self.code_s
        return Recorded(float(first), min(float(stop), float(num_codes)), again, until)


def as_edits(canvas: Canvas, given: Sequence[Given], encoders: Encoders) -> tuple[Edit, ...]:
    """What is given, as tokens that are set. Raises EditError."""
    return tuple(_as_edit(canvas, part, encoders) for part in given)


def _as_edit(canvas: Canvas, part: Given, encoders: Encoders) -> Edit:
    match part:
        case Edit():
            return part
        case GivenText():
            return _words(canvas, part, encoders.vocabulary, encoders.text)
        case GivenImage():
            return _picture(canvas, part, encoders.vocabulary, encoders.image)
        case GivenSpeech():
            return _speech(canvas, part, encoders)


def without_ends(canvas: Canvas, given: Sequence[Given]) -> Canvas:
    """With the ends of given texts where they are: no gap can end one early."""
    texts = {part.slot for part in given if isinstance(part, GivenText | GivenSpeech)}
    slots = (replace(s, forbidden=(*s.forbidden, *s.ends)) if s.name in texts else s for s in canvas.slots)
    return replace(canvas, slots=tuple(slots)) if texts else canvas


def num_positions(given: GivenText | GivenSpeech, encoders: Encoders) -> int:
    """How long a slot must be to hold it and its end. Raises EditError."""
    if isinstance(given, GivenSpeech):
        return len(encoders.said(given)) + 1
    text = encoders.text
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


def _speech(canvas: Canvas, given: GivenSpeech, encoders: Encoders) -> Edit:
    length, codes = _length(canvas, given.slot, "speech"), encoders.said(given)
    first, stop = int(given.open_s[0] / encoders.code_s), math.ceil(given.open_s[1] / encoders.code_s)
    if not 0 <= first < min(stop, len(codes)) or len(codes) >= length:
        raise EditError(
            f"{given.open_s[0]:g} to {given.open_s[1]:g} s are to be said anew of speech that takes {len(codes)} "
            f"positions of {1000 * encoders.code_s:g} ms, its slot has {length}; open a stretch of it, in a slot that "
            "holds it and its end"
        )
    slot = canvas.slot(given.slot)
    ends = [encoders.vocabulary[END_OF_TEXT]] * (length - len(codes))
    if set(slot.ends) <= set(slot.forbidden):  # where it ends is known already
        ends = []
    tokens = [*(codes + encoders.vocabulary.speech[0]).tolist(), *ends]
    places = [place for place in range(len(tokens)) if not first <= place < stop or place >= len(codes)]
    return Edit("set", given.slot, tuple(places), tuple(tokens[place] for place in places))


def _picture(
    canvas: Canvas, given: GivenImage, vocabulary: Vocabulary, encode_image: Callable[[NDArray[np.uint8]], Tensor]
) -> Edit:
    length = _length(canvas, given.slot, "image")
    codes = encode_image(given.pixels)
    open_cells = touched(given.repainted, *codes.shape)
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


def touched(mask: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.bool_]:
    """(rows, columns): cells that the mask touches, of the square in the middle that a model reads of a picture."""
    height, width = mask.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return covered(mask[top : top + side, left : left + side], rows, columns)


def covered(mask: NDArray[np.bool_], rows: int, columns: int) -> NDArray[np.bool_]:
    """(rows, columns): cells of a picture that the mask, of all of it, touches."""
    height, width = mask.shape
    fine = max(1, math.ceil(max(rows / height, columns / width)))  # where a pixel is larger than a cell
    down, across = np.nonzero(mask.repeat(fine, axis=0).repeat(fine, axis=1))
    cells = np.zeros((rows, columns), np.bool_)
    cells[down * rows // (height * fine), across * columns // (width * fine)] = True
    return cells


def _length(canvas: Canvas, name: str, modality: str) -> int:
    try:
        slot = canvas.slot(name)
    except KeyError as error:
        raise EditError(f"{error.args[0]}; give parts of one of them") from None
    if slot.modality != modality:
        raise EditError(f"{modality} was given for slot {name!r}, which holds {slot.modality}; give {slot.modality}")
    return slot.length
