"""Requests that were submitted and are not laid out yet, and how outputs are handed over."""

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from runtime.engine.engine import Sink
from runtime.engine.output import EngineOutput, Finished, Status, Usage
from runtime.engine.request import GenerationRequest

log = logging.getLogger(__name__)


@dataclass
class Waiting:
    """One request. finalize: its answer is wanted in one step."""

    request: GenerationRequest
    sink: Sink
    submitted_s: float
    finalize: bool = False

    @property
    def request_id(self) -> str:
        return self.request.request_id

    def refuse(
        self, status: Status, error: str | None = None, *, overloaded: bool = False, refused: bool = False
    ) -> None:
        """The end of a request that never had a canvas."""
        end = Finished(
            self.request_id, status, (), Usage(), steps=0, error=error, overloaded=overloaded, refused=refused
        )
        deliver(self.sink, end)


class WaitingRoom:
    """Those who wait, first come first served. places: how many may wait at once."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._waiting: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(tuple(self._waiting))

    def __contains__(self, request_id: str) -> bool:
        return any(waiting.request_id == request_id for waiting in self._waiting)

    def enter(self, waiting: Waiting) -> None:
        """Takes it in, or refuses it when all places are taken: better at once than after its deadline."""
        if len(self._waiting) >= self._places:
            told = f"overloaded: {len(self)} requests are waiting already; try again later"
            waiting.refuse("failed", told, overloaded=True)
        else:
            self._waiting.append(waiting)

    def next(self) -> Waiting | None:
        return self._waiting.popleft() if self._waiting else None

    def cancel(self, request_id: str) -> None:
        for waiting in self:
            if waiting.request_id == request_id:
                self._waiting.remove(waiting)
                waiting.refuse("cancelled")

    def finalize(self, request_id: str) -> None:
        for waiting in self._waiting:
            waiting.finalize = waiting.finalize or waiting.request_id == request_id


def deliver(sink: Sink, output: EngineOutput) -> bool:
    """False if the receiver raised: nobody is behind it any more."""
    try:
        sink(output)
        return True
    except Exception:
        log.exception("the receiver of request %s failed on %s", output.request_id, type(output).__name__)
        return False
