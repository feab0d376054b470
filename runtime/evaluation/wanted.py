"""What the embedded model's figures are wanted to be. A figure is told beside it, reached or not."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wanted:
    """value: the least that is wanted, or of errors the most; a share, or in the unit of its figure.

    of_ceiling: as a share of the judge's ceiling.
    """

    value: float
    most: bool = False
    of_ceiling: bool = False

    def __str__(self) -> str:
        value = f"{100 * self.value:.0f} %" if self.value <= 1 else f"{self.value:g}"
        return f"{'at most' if self.most else 'at least'} {value}{' of the ceiling' if self.of_ceiling else ''}"

    def reached(self, value: float, ceiling: float | None) -> bool:
        bound = self.value * (1.0 if ceiling is None else ceiling) if self.of_ceiling else self.value
        return value <= bound if self.most else value >= bound


_PICTURE_MEASURES = {
    "things": Wanted(0.85, of_ceiling=True),
    "things_single": Wanted(0.85, of_ceiling=True),
    "things_multiple": Wanted(0.85, of_ceiling=True),
    "background": Wanted(0.95),
    "count": Wanted(0.85),
    "relation": Wanted(0.85),
}
_FROM_SPEECH = {  # within eight points of what is wanted from text
    name: Wanted(wanted.value - 0.08, of_ceiling=wanted.of_ceiling) for name, wanted in _PICTURE_MEASURES.items()
}
WANTED: Mapping[str, Wanted] = {
    **{f"text to image: {name}": wanted for name, wanted in _PICTURE_MEASURES.items()},
    **{f"speech to image: {name}": wanted for name, wanted in _FROM_SPEECH.items()},
    "image to text, drawn style: what": Wanted(0.85),
    "image to text, drawn style: how many": Wanted(0.90),
    "image to text, drawn style: background": Wanted(0.95),
    "image to text, drawn style: where": Wanted(0.90),
    "image to text, unseen style: what": Wanted(0.50, of_ceiling=True),
    "speech to text, held-out voices: word errors": Wanted(0.12, most=True),
    "speech to text, known voices: word errors": Wanted(0.05, most=True),
    "text to speech, its world: word errors": Wanted(0.10, most=True),
    "text to speech, plain English: word errors": Wanted(0.30, most=True),
    "through codes and back, plain English: word errors": Wanted(0.06, most=True),
    "through codes and back, plain English: DistillMOS": Wanted(3.6),
    "written commands, as served: valid": Wanted(1.0),
    "written commands, as served: right tool": Wanted(0.90),
    "written commands, as served: right tool and arguments": Wanted(0.75),
    "spoken commands, as served: right tool and arguments": Wanted(0.65),
    "infill: text, exact": Wanted(0.60),
    "infill: half a picture: things": Wanted(0.70),
    "infill: a word said anew, recognised": Wanted(0.70),
    "says it does not know: asked to draw": Wanted(0.80),
    "says it does not know: shown": Wanted(0.80),
    "says it does not know: asked": Wanted(0.80),
}
