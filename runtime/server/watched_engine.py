"""An engine whose requests are seen by somebody, who counts or measures them."""

from collections.abc import Callable
from dataclasses import dataclass

from runtime.engine.changes import Change
from runtime.engine.engine import Engine, Sink, Told
from runtime.engine.output import EngineOutput, Finished, Usage
from runtime.engine.request import GenerationRequest

See = Callable[[EngineOutput], None]


@dataclass(frozen=True)
class WatchedEngine:
    """on_request: told of each request, None for one that goes on from another; what it gives back sees the request's
    outputs, on the engine's thread, before whoever asked does.
    """

    engine: Engine
    on_request: Callable[[str, GenerationRequest | None], See]

    def submit(self, request: GenerationRequest, sink: Sink) -> None:
        see = self.on_request(request.request_id, request)
        try:
            self.engine.submit(request, _seen(see, sink))
        except Exception as problem:  # seen, and raised again
            see(Finished(request.request_id, "failed", (), Usage(), 0, error=str(problem)))
            raise

    def fork(self, request_id: str, new_id: str, seed: int, sink: Sink, at_step: int | None = None) -> None:
        self.engine.fork(request_id, new_id, seed, _seen(self.on_request(new_id, None), sink), at_step)

    def cancel(self, request_id: str) -> None:
        self.engine.cancel(request_id)

    def finalize(self, request_id: str) -> None:
        self.engine.finalize(request_id)

    def change(self, request_id: str, change: Change, told: Told) -> None:
        self.engine.change(request_id, change, told)

    def forget(self, request_id: str) -> None:
        self.engine.forget(request_id)

    def close(self) -> None:
        self.engine.close()


def _seen(see: See, sink: Sink) -> Sink:
    def take(output: EngineOutput) -> None:
        see(output)
        sink(output)

    return take
