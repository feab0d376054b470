"""The engine as the server knows it. Every implementation is driven through `Engine`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from runtime.engine.changes import Change
from runtime.engine.output import EngineOutput
from runtime.engine.request import GenerationRequest

Sink = Callable[[EngineOutput], None]


@dataclass(frozen=True)
class Reply:
    """What became of a change that was asked for.

    step: how many steps were run when it was made. error: why it was not made; nothing is changed then.
    """

    request_id: str
    step: int = 0
    error: str | None = None


Told = Callable[[Reply], None]


class Engine(Protocol):
    """Makes responses. All methods may be called from any thread and return at once."""

    def submit(self, request: GenerationRequest, sink: Sink) -> None:
        """Begin a request. `sink` is called on the engine's thread: Started, StepOutput…, then one Finished."""

    def cancel(self, request_id: str) -> None:
        """Stop at the next step boundary and drop the rest. Unknown or finished ids are ignored."""

    def finalize(self, request_id: str) -> None:
        """Commit everything still masked in one step and finish with the best so far."""

    def change(self, request_id: str, change: Change, told: Told) -> None:
        """Change the answer at the next step boundary, or tell why not. `told` is called on the engine's thread."""

    def fork(self, request_id: str, new_id: str, seed: int, sink: Sink, at_step: int | None = None) -> None:
        """Go on twice: `new_id` has the answer so far, or as it was after `at_step` steps, and another seed.

        As `submit` from there on. A request that is over can be gone on with from a step, until it is forgotten. Where
        it cannot be done, `sink` gets a Finished that says why.
        """

    def forget(self, request_id: str) -> None:
        """Let go of what is kept of a request that is over."""

    def close(self) -> None:
        """Finish the running step, cancel what is left, end the thread."""
