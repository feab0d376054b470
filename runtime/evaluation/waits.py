"""How long one waits for an answer: to its end, and of a spoken one to its first sound."""

import queue
import time
from dataclasses import dataclass, replace

from runtime.engine.engine import Engine
from runtime.engine.output import EngineOutput, Finished, SlotState, Speaker, StepOutput
from runtime.engine.request import GenerationRequest


@dataclass(frozen=True)
class Wait:
    """Seconds from the request on. end_s: to the whole answer, its sound and its picture with it. first_sound_s: None
    where nothing is said."""

    end_s: float
    first_sound_s: float | None


class _Listener:
    """Makes an answer's sound while it is made."""

    def __init__(self) -> None:
        self.ended: queue.SimpleQueue[Wait] = queue.SimpleQueue()
        self._began = time.perf_counter()
        self._speaker: Speaker | None = None
        self._first_sound_s: float | None = None

    def __call__(self, output: EngineOutput) -> None:
        if isinstance(output, StepOutput | Finished):
            for slot in output.slots:
                if slot.speaker is not None:
                    self._say(slot)
        if isinstance(output, Finished):
            for slot in output.slots:
                _ = slot.image  # painted when it is looked at
            self.ended.put(Wait(self._passed_s(), self._first_sound_s))

    def _say(self, slot: SlotState) -> None:
        if self._speaker is None:
            assert slot.speaker is not None
            self._speaker = slot.speaker()
        sound = self._speaker.push(slot) if slot.complete or slot.settled >= self._speaker.hop else None
        if self._first_sound_s is None and sound is not None and len(sound.pcm):
            self._first_sound_s = self._passed_s()

    def _passed_s(self) -> float:
        return time.perf_counter() - self._began


def wait_for(engine: Engine, request: GenerationRequest) -> Wait:
    """Ask and wait, with no sound later than the step that it can be heard after."""
    listener = _Listener()
    engine.submit(replace(request, partial_every=1), listener)
    return listener.ended.get()
