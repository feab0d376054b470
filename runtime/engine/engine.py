"""The engine as the server knows it. Every implementation is driven through `Engine`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from runtime.engine.edits import Edit
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


@dataclass(frozen=True)
class Tuning:
    """steps_left: steps for all that is still open. temperature: from now on, of every slot. None leaves as it is."""

    steps_left: int | None = None
    temperature: float | None = None


class Engine(Protocol):
    """Makes responses. All methods may be called from any thread and return at once."""

    def submit(self, request: GenerationRequest, sink: Sink) -> None:
        """Begin a request. `sink` is called on the engine's thread: Started, StepOutput…, then one Finished."""

    def cancel(self, request_id: str) -> None:
        """Stop at the next step boundary and drop the rest. Unknown or finished ids are ignored."""

    def finalize(self, request_id: str) -> None:
        """Commit everything still masked in one step and finish with the best so far."""

    def edit(self, request_id: str, edits: Sequence[Edit], told: Told) -> None:
        """Change the answer at the next step boundary, all edits or none. `told` is called on the engine's thread."""

    def tune(self, request_id: str, tuning: Tuning, told: Told) -> None:
        """Change how the rest is made, from the next step on. `told` is called on the engine's thread."""

    def fork(self, request_id: str, new_id: str, seed: int, sink: Sink) -> None:
        """Go on from here twice: `new_id` has the answer so far and another seed. As `submit` from there on.

        Where it cannot be done, `sink` gets a Finished that says why.
        """

    def close(self) -> None:
        """Finish the running step, cancel what is left, end the thread."""
