"""Where on a canvas: regions of a picture, words of a partial text, stretches of speech -> positions of a slot."""

import math
import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnisdk.protocol import errors
from omnisdk.protocol.changes import CanvasPlace
from omnisdk.protocol.errors import ProtocolError
from runtime.engine.given import covered
from runtime.engine.output import SlotState, TextSpan
from runtime.server.given import boxed, read_mask
from runtime.server.model_card import PictureShape

WAYS = ("positions", "box", "mask_url", "span", "words", "ms")
KEPT_READINGS = 32  # of the newest partials


@dataclass(frozen=True)
class Reading:
    """A text slot as a partial told it."""

    text: str
    spans: tuple[TextSpan, ...]


@dataclass
class Readings:
    """The texts of the partials that were sent last, by step and slot."""

    _told: OrderedDict[int, dict[str, Reading]] = field(default_factory=OrderedDict)

    def note(self, step: int, slots: Sequence[SlotState]) -> None:
        self._told[step] = {slot.name: Reading(slot.text, slot.spans) for slot in slots if slot.text is not None}
        if len(self._told) > KEPT_READINGS:
            self._told.popitem(last=False)

    def at(self, step: int | None) -> Mapping[str, Reading]:
        """Those of a step, or the newest. Raises KeyError."""
        return self._told[next(reversed(self._told)) if step is None and self._told else step or 0]


@dataclass(frozen=True)
class Board:
    """What a client can point at.

    slots: as they are laid out. told: how many positions, from a slot's beginning, were sent as final already.
    code_ms: how long a speech token sounds, if the model speaks.
    """

    slots: Sequence[SlotState]
    told: Mapping[str, int] = field(default_factory=dict)
    picture: PictureShape | None = None
    readings: Readings = field(default_factory=Readings)
    code_ms: float | None = None

    def positions(self, place: CanvasPlace, path: str) -> tuple[int, ...]:
        """The positions a place names. Raises ProtocolError."""
        slot = self._slot(place, path)
        found = self._found(place, slot, path)
        sent = self.told.get(slot.name, 0)
        _check_positions(found, slot, f"{path}.{_way(place)}")
        if any(position < sent for position in found):
            raise _refused(
                f"the first {sent} positions of slot {slot.name!r} were sent as final already; edit what comes later, "
                "or earlier in time",
                f"{path}.{_way(place)}",
            )
        return found

    def _slot(self, place: CanvasPlace, path: str) -> SlotState:
        slot = next((slot for slot in self.slots if slot.name == place.slot), None)
        if slot is None:
            names = ", ".join(slot.name for slot in self.slots) or "none yet, for the answer has not begun"
            raise _refused(f"there is no slot {place.slot[:80]!r} in this canvas; it has {names}", f"{path}.slot")
        return slot

    def _found(self, place: CanvasPlace, slot: SlotState, path: str) -> tuple[int, ...]:
        if sum(getattr(place, way) is not None for way in WAYS) != 1:
            raise _refused(f"name the place in one way, as one of {', '.join(WAYS)}", path)
        path = f"{path}.{_way(place)}"
        if place.positions is not None:
            return tuple(place.positions)
        if place.ms is not None:
            return self._sounding(place.ms, slot, path)
        if place.box is None and place.mask_url is None:
            return self._read(place, slot, path)
        return self._cells(place, slot, path)

    def _cells(self, place: CanvasPlace, slot: SlotState, path: str) -> tuple[int, ...]:
        if slot.grid is None or self.picture is None:
            raise _refused(f"slot {slot.name!r} is no picture; name its positions", path)
        size = self.picture.height, self.picture.width
        mask: NDArray[np.bool_] = (
            boxed(place.box, size, path) if place.box is not None else read_mask(place.mask_url, size, path)
        )
        return tuple(np.flatnonzero(covered(mask, *slot.grid)).tolist())

    def _read(self, place: CanvasPlace, slot: SlotState, path: str) -> tuple[int, ...]:
        """Tokens of a text that a span of its partial touches."""
        if slot.modality != "text":
            raise _refused(f"slot {slot.name!r} is no text; name its positions", path)
        try:
            reading = self.readings.at(place.of_step)[slot.name]
        except KeyError:
            raise _refused(
                f"no partial of slot {slot.name!r} "
                + (f"at step {place.of_step} is remembered" if place.of_step is not None else "was sent yet")
                + "; name the step of a late one, or positions",
                path,
            ) from None
        start, end = _characters(place, reading.text, path)
        spans = [span for span in reading.spans if span.start < end and span.end > start]
        return tuple(position for span in spans for position in _positions(span, start, end))

    def _sounding(self, ms: tuple[float, float], slot: SlotState, path: str) -> tuple[int, ...]:
        if slot.modality != "speech":
            raise _refused(f"slot {slot.name!r} is no speech, so it has no ms; name its positions", path)
        if self.code_ms is None:
            raise _refused("how long a speech token of this model sounds is not known; name positions", path)
        length_ms = len(slot.tokens) * self.code_ms
        if not 0 <= ms[0] < ms[1] <= length_ms:
            raise _refused(
                f"{ms[0]:g} to {ms[1]:g} ms came for speech of at most {length_ms:g} ms; send a beginning and a later "
                "end within it",
                path,
            )
        return tuple(range(int(ms[0] / self.code_ms), math.ceil(ms[1] / self.code_ms)))


def _check_positions(found: Sequence[int], slot: SlotState, path: str) -> None:
    """Raises ProtocolError."""
    length = len(slot.tokens)
    outside = next((position for position in found if not 0 <= position < length), None)
    if outside is not None:
        raise _refused(
            f"position {outside} came for slot {slot.name!r}, which has positions 0 to {length - 1}; choose among them",
            path,
        )
    if not found:
        raise _refused(f"no position of slot {slot.name!r} is named; name one at least", path)
    if len(set(found)) < len(found):
        raise _refused(f"a position of slot {slot.name!r} is named twice; name each once", path)


def _way(place: CanvasPlace) -> str:
    return next((way for way in WAYS if getattr(place, way) is not None), "positions")


def _characters(place: CanvasPlace, text: str, path: str) -> tuple[int, int]:
    """[start, end) of what is named. Raises ProtocolError."""
    if place.span is not None:
        start, end, length, what = *place.span, len(text), "characters"
        bounds = [(at, at + 1) for at in range(length)]
    else:
        assert place.words is not None
        bounds = [match.span() for match in re.finditer(r"\S+", text)]
        start, end, length, what = *place.words, len(bounds), "words"
    if not 0 <= start < end <= length:
        raise _refused(
            f"{what} {start} to {end} came of a text that has {length}: {text[:80]!r}; name some of it", path
        )
    return bounds[start][0], bounds[end - 1][1]


def _positions(span: TextSpan, start: int, end: int) -> range:
    """Positions of a span's characters from `start` to `end`: a masked one has one, a token all of its own."""
    first, stop = span.places
    if not span.masked:
        return range(first, stop)
    return range(first + max(0, start - span.start), stop - max(0, span.end - end))


def _refused(message: str, param: str) -> ProtocolError:
    return ProtocolError(message, code=errors.INVALID_VALUE, param=param)
