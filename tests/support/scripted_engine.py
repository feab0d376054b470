"""An engine that follows a script: given slots are unmasked on a thread, a share of them each step."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from runtime.engine.engine import Sink
from runtime.engine.output import Finished, SlotState, Sound, Started, StepOutput, TextSpan, Usage
from runtime.engine.recipe import SlotRecipe
from runtime.engine.request import GenerationRequest

ROWS = COLUMNS = 4
CELL_PX = 8
NUM_SPEECH_TOKENS = 25
SPOKEN_RATE_HZ = 22_050


@dataclass
class ScriptedEngine:
    """texts: what each text slot says. speech_s: how long a speech slot sounds.

    A step takes `step_s`; `hold` keeps every answer before its last step.

    fails: end each request with this error instead. submitted, cancelled: what was asked of it.
    """

    texts: Mapping[str, str] = field(default_factory=lambda: {"transcript": "a red ball", "text": "here it is"})
    speech_s: float = 0.5
    num_steps: int = 4
    step_s: float = 0.0
    fails: str | None = None
    hold: bool = False
    submitted: list[GenerationRequest] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    _finalized: set[str] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)

    def submit(self, request: GenerationRequest, sink: Sink) -> None:
        self.submitted.append(request)
        thread = threading.Thread(target=self._run, args=(request, sink), daemon=True)
        self._threads.append(thread)
        thread.start()

    def cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)

    def finalize(self, request_id: str) -> None:
        self._finalized.add(request_id)

    def forget(self, request_id: str) -> None:
        pass  # nothing is kept

    def close(self) -> None:
        self.hold = False
        for thread in self._threads:
            thread.join(5)

    def _run(self, request: GenerationRequest, sink: Sink) -> None:
        slots = self.slots_of(request)
        sink(self.started(request, slots))
        if self.fails is not None:
            sink(Finished(request.request_id, "failed", (), Usage(), 0, error=self.fails))
            return
        for step in range(1, self.num_steps + 1):
            while self.hold and step == self.num_steps and not self.asked_to_end(request.request_id):
                time.sleep(0.002)
            if self.asked_to_end(request.request_id):
                break
            time.sleep(self.step_s)
            ratio = step / self.num_steps
            if request.partial_every and step % request.partial_every == 0:
                now = tuple(shown(slot, ratio) for slot in slots)
                sink(StepOutput(request.request_id, step, self.num_steps, ratio, 10.0, now))
        sink(self.finished(request, slots, step))

    def slots_of(self, request: GenerationRequest) -> tuple[SlotState, ...]:
        """As they are when all is known."""
        return tuple(self._final(slot) for slot in request.recipe.slots)

    def started(self, request: GenerationRequest, slots: tuple[SlotState, ...]) -> Started:
        hidden = tuple(shown(slot, 0.0) for slot in slots)
        return Started(request.request_id, hidden, self.num_steps, request.seed)

    def asked_to_end(self, request_id: str) -> bool:
        return request_id in self.cancelled or request_id in self._finalized

    def finished(self, request: GenerationRequest, slots: tuple[SlotState, ...], steps: int) -> Finished:
        made = {slot.modality: len(slot.tokens) for slot in slots if slot.modality != "text"}
        usage = Usage(
            input_text=3,
            output_text=5,
            output_image=made.get("image", 0),
            output_speech=made.get("speech", 0),
            steps=steps,
        )
        if request.request_id in self.cancelled:
            return Finished(request.request_id, "cancelled", tuple(shown(slot, 0.5) for slot in slots), usage, steps)
        status = "incomplete" if request.request_id in self._finalized else "completed"
        return Finished(request.request_id, status, slots, usage, steps, unmasked_per_step=(4,) * steps)

    def _final(self, slot: SlotRecipe) -> SlotState:
        if slot.modality == "image":
            tokens = np.arange(ROWS * COLUMNS, dtype=np.int64)
            state = SlotState(slot.name, "image", tokens, _sure(tokens), grid=(ROWS, COLUMNS))
            return replace(state, paint=partial(_picture, 1.0))
        if slot.modality == "speech":
            tokens = np.arange(NUM_SPEECH_TOKENS, dtype=np.int64)
            return SlotState(slot.name, "speech", tokens, _sure(tokens), sound=partial(_tone, self.speech_s))
        text = self.texts.get(slot.name, slot.name)
        tokens = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64)
        spans = (TextSpan(0, len(text), False, 0.9),)
        return SlotState(slot.name, "text", tokens, _sure(tokens), text=text, spans=spans)


def shown(slot: SlotState, ratio: float) -> SlotState:
    """A slot with the first share of its positions unmasked."""
    known = round(len(slot.tokens) * ratio)
    tokens = np.where(np.arange(len(slot.tokens)) < known, slot.tokens, -1)
    confidence = np.where(tokens < 0, 0.0, slot.confidence).astype(np.float32)
    if slot.modality == "speech":
        return replace(slot, tokens=tokens, confidence=confidence)
    if slot.text is None:
        paint = partial(_picture, ratio) if ratio else None
        return replace(slot, tokens=tokens, confidence=confidence, paint=paint)
    text = slot.text[:known] + "▒" * (len(slot.text) - known)
    spans = (TextSpan(0, known, False, 0.9), TextSpan(known, len(text), True, 0.0))
    return replace(slot, tokens=tokens, confidence=confidence, text=text, spans=spans)


def _picture(ratio: float) -> NDArray[np.uint8]:
    return np.full((ROWS * CELL_PX, COLUMNS * CELL_PX, 3), round(200 * ratio), np.uint8)


def _tone(seconds: float) -> Sound:
    """440 Hz at a quarter of full loudness."""
    time = np.arange(round(seconds * SPOKEN_RATE_HZ)) / SPOKEN_RATE_HZ
    return Sound((8192 * np.sin(2 * np.pi * 440 * time)).astype(np.int16), SPOKEN_RATE_HZ)


def _sure(tokens: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.full(len(tokens), 0.9, np.float32)
