"""Ask the real engine many things and wait for all the answers."""

import queue
from collections.abc import Sequence
from dataclasses import replace

from runtime.engine.engine import Engine
from runtime.engine.output import EngineOutput, Finished, SlotState
from runtime.engine.request import GenerationRequest

IN_FLIGHT = 8


class AnswerError(RuntimeError):
    """The engine failed a request of the evaluation."""


def answer_all(engine: Engine, requests: Sequence[GenerationRequest]) -> list[Finished]:
    """The finished answers in the order of the requests; some are in flight at a time."""
    done: queue.SimpleQueue[Finished] = queue.SimpleQueue()
    finished: dict[str, Finished] = {}
    waiting = [replace(request, partial_every=0) for request in reversed(requests)]

    def sink(output: EngineOutput) -> None:
        if isinstance(output, Finished):
            done.put(output)

    for _ in range(min(IN_FLIGHT, len(waiting))):
        engine.submit(waiting.pop(), sink)
    while len(finished) < len(requests):
        answer = done.get()
        if answer.status != "completed":
            raise AnswerError(f"request {answer.request_id} ended {answer.status}: {answer.error}")
        finished[answer.request_id] = answer
        if waiting:
            engine.submit(waiting.pop(), sink)
    return [finished[request.request_id] for request in requests]


def slot_of(answer: Finished, name: str) -> SlotState:
    return next(slot for slot in answer.slots if slot.name == name)
