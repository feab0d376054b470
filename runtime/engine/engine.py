"""The engine as the server knows it. Every implementation is driven through `Engine`."""

from collections.abc import Callable
from typing import Protocol

from runtime.engine.output import EngineOutput
from runtime.engine.request import GenerationRequest

Sink = Callable[[EngineOutput], None]


class Engine(Protocol):
    """Makes responses. All methods may be called from any thread and return at once."""

    def submit(self, request: GenerationRequest, sink: Sink) -> None:
        """Begin a request. `sink` is called on the engine's thread: Started, StepOutput…, then one Finished."""

    def cancel(self, request_id: str) -> None:
        """Stop at the next step boundary and drop the rest. Unknown or finished ids are ignored."""

    def finalize(self, request_id: str) -> None:
        """Commit everything still masked in one step and finish with the best so far."""

    def close(self) -> None:
        """Finish the running step, cancel what is left, end the thread."""
