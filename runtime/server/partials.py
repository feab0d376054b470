"""Partials as events. What is news is decided when a partial is sent, so skipped ones cost nothing and lose nothing."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from omnisdk.protocol import events
from omnisdk.protocol.events import ServerEvent
from omnisdk.protocol.limits import MAX_OUTBOUND_FRAME_BYTES
from omnisdk.protocol.settings import PartialKind
from runtime.codecs.image import encode_png
from runtime.engine.output import Finished, SlotState, StepOutput
from runtime.server.places import Readings

log = logging.getLogger(__name__)
PNG = "image/png"
UNKNOWN = -2  # in the place of a token: nobody knows what the client has there
FRAME_ROOM = 16 * 1024  # for what stands in a frame beside a picture


class PartialStream:
    """The partials of one response: remembers what was sent last."""

    def __init__(self, canvas_id: str, response_id: str, slots: Sequence[SlotState], kind: PartialKind) -> None:
        self._canvas_id = canvas_id
        self._response_id = response_id
        self._tokens_told: dict[str, NDArray[np.int64]] = {}  # by the newest partial, whatever it held
        # What stands from the beginning is told by the first delta, so that deltas add up to the whole canvas.
        self._tokens_sent = {slot.name: np.full_like(slot.tokens, -1) for slot in slots}
        self._confidence_sent = {slot.name: np.zeros_like(slot.confidence) for slot in slots}
        self._texts_sent = {slot.name: slot.text for slot in slots if slot.masked.all()}
        self._previews_sent: dict[str, NDArray[np.int64]] = {}
        self._num_previews = 0
        self.readings = Readings()  # what edits of a text refer to
        self._with_tokens = kind in ("tokens", "both")
        self._with_previews = kind in ("preview", "both")

    def forget(self) -> None:
        """What was sent may be lost: the next partial tells all there is."""
        self._tokens_told.clear()
        self._tokens_sent = {name: np.full_like(sent, UNKNOWN) for name, sent in self._tokens_sent.items()}
        self._texts_sent.clear()
        self._previews_sent.clear()

    async def render(self, output: StepOutput) -> list[ServerEvent]:
        """One partial, ending with its omni.progress."""
        self.readings.note(output.step, output.slots)
        told: list[ServerEvent] = []
        self._tokens_told = {slot.name: slot.tokens for slot in output.slots}
        if self._with_tokens:
            told.append(self._delta(output))
        told += [event for slot in output.slots if (event := self._text(slot)) is not None]
        if self._with_previews:
            told += [event for slot in output.slots if (event := await self._preview(output, slot)) is not None]
        told.append(
            events.OmniProgress(
                response_id=self._response_id,
                step=output.step,
                steps=output.steps,
                unmasked_ratio=_rounded(output.unmasked_ratio, 4),
                eta_ms=max(0, round(output.eta_ms)),
                slots={slot.name: _rounded(1 - slot.masked.mean(), 4) for slot in output.slots},
            )
        )
        return told

    async def render_end(self, finished: Finished) -> list[ServerEvent]:
        """What the end brings that no partial told, so that deltas add up to the whole canvas. Pictures come after."""
        told = self._tokens_told
        if all(slot.name in told and np.array_equal(slot.tokens, told[slot.name]) for slot in finished.slots):
            return []
        slots = finished.slots
        steps = finished.steps
        return await self.render(StepOutput(finished.request_id, steps, steps, 1.0, 0.0, slots))

    def _delta(self, output: StepOutput) -> ServerEvent:
        changes = [change for slot in output.slots if (change := self._change(slot)) is not None]
        return events.OmniCanvasDelta(
            canvas_id=self._canvas_id,
            response_id=self._response_id,
            step=output.step,
            steps=output.steps,
            unmasked_ratio=_rounded(output.unmasked_ratio, 4),
            slots=changes,
        )

    def _change(self, slot: SlotState) -> events.SlotChange | None:
        before, sure = self._tokens_sent[slot.name], np.round(slot.confidence, 3)
        # What was opened and filled again with the same token has another confidence.
        news = (slot.tokens != before) | (sure != self._confidence_sent[slot.name])
        filled = np.flatnonzero(news & ~slot.masked)
        opened = np.flatnonzero(slot.masked & (before != -1))
        self._tokens_sent[slot.name], self._confidence_sent[slot.name] = slot.tokens, sure
        if not len(filled) and not len(opened):
            return None
        updates = [(int(at), int(slot.tokens[at]), _rounded(sure[at], 3)) for at in filled]
        return events.SlotChange(name=slot.name, updates=updates, remasked=opened.tolist())

    def _text(self, slot: SlotState) -> ServerEvent | None:
        if slot.text is None or slot.text == self._texts_sent.get(slot.name):
            return None
        self._texts_sent[slot.name] = slot.text
        spans = [
            events.Span(start=span.start, end=span.end, masked=span.masked, confidence=_rounded(span.confidence, 2))
            for span in slot.spans
        ]
        return events.OmniTextPartial(response_id=self._response_id, slot=slot.name, text=slot.text, spans=spans)

    async def _preview(self, output: StepOutput, slot: SlotState) -> ServerEvent | None:
        before = self._previews_sent.get(slot.name)
        if slot.paint is None or slot.grid is None or (before is not None and np.array_equal(before, slot.tokens)):
            return None
        painted = await asyncio.to_thread(_painted, (lambda: slot.image) if slot.complete else slot.paint)
        if painted is None:
            return None
        (height, width, _), png = painted
        if not fits_a_frame(png):
            return None
        self._previews_sent[slot.name] = slot.tokens
        index, self._num_previews = self._num_previews, self._num_previews + 1
        rows, columns = slot.grid
        return events.OmniImagePartial(
            response_id=self._response_id,
            slot=slot.name,
            step=output.step,
            steps=output.steps,
            partial_image_index=index,
            width=width,
            height=height,
            mime=PNG,
            partial_image_b64=png,
            rows=rows,
            columns=columns,
            mask=slot.masked.astype(int).tolist(),
            confidence=[_rounded(value, 2) for value in slot.confidence],
        )


def fits_a_frame(media: bytes) -> bool:
    """Whether a frame that every client takes can carry it, in base64 too."""
    return len(media) * 4 // 3 <= MAX_OUTBOUND_FRAME_BYTES - FRAME_ROOM


def _painted(preview: Callable[[], NDArray[np.uint8] | None]) -> tuple[tuple[int, ...], bytes] | None:
    """(height, width, 3) and the picture as PNG; None if it fails: an answer does not end for a preview."""
    try:
        picture = preview()
        return None if picture is None else (picture.shape, encode_png(picture))
    except Exception:  # whatever a model's decoder raises
        log.exception("a preview could not be painted")
        return None


def _rounded(value: float | np.floating, digits: int) -> float:
    return round(float(value), digits)
