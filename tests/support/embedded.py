"""The embedded model, loaded once: in an engine that a test turns itself, or behind a server that leaves time."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from runtime.cli import card_of
from runtime.engine.changes import Change
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.engine import Reply
from runtime.engine.model import OmniModel, load_model
from runtime.engine.output import EngineOutput, Finished, SlotState
from runtime.engine.recipe import Recipe
from runtime.engine.request import GenerationRequest, Part, TextPart, Turn
from runtime.executors.in_process import InProcessExecutor
from tests.support.live_server import serving
from tests.support.unhurried import UnhurriedExecutor


@cache
def embedded() -> OmniModel:
    return load_model()


@contextlib.contextmanager
def serving_embedded() -> Iterator[str]:
    """The ws:// address of a server that pauses before each step."""
    model = embedded()
    engine = DenoisingEngine(model, UnhurriedExecutor(model.backbone, num_threads=1))
    with serving(engine, card_of(model)) as url:
        yield url


@dataclass
class Crank:
    """An engine without a thread, and what it told."""

    outputs: list[EngineOutput] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)

    def __post_init__(self) -> None:
        model = embedded()
        self.engine = DenoisingEngine(model, InProcessExecutor(model.backbone, num_threads=1), start=False)

    def ask(
        self,
        request_id: str,
        asked: str | Part | tuple[str | Part, ...],
        recipe: str | Recipe = "text_to_image",
        **options: object,
    ) -> None:
        parts = asked if isinstance(asked, tuple) else (asked,)
        chosen = embedded().recipes[recipe] if isinstance(recipe, str) else recipe
        request = GenerationRequest(request_id, said(*parts), chosen, partial_every=0, **options)  # type: ignore[arg-type]
        self.engine.submit(request, self.outputs.append)

    def change(self, request_id: str, change: Change) -> Reply:
        self.engine.change(request_id, change, self.replies.append)
        self.engine.run_commands()
        return self.replies[-1]

    def fork(self, request_id: str, new_id: str, seed: int, at_step: int | None = None) -> None:
        self.engine.fork(request_id, new_id, seed, self.outputs.append, at_step)
        self.engine.run_commands()

    def turn(self, times: int = 100) -> None:
        for _ in range(times):
            self.engine.run_commands()
            self.engine.admit_next()
            if not self.engine.num_active:
                break
            self.engine.step()

    def finished(self, request_id: str) -> Finished:
        """The end of a request; turns until it comes."""
        self.turn()
        (found,) = (o for o in self.outputs if isinstance(o, Finished) and o.request_id == request_id)
        assert found.error is None, found.error
        return found


def said(*parts: str | Part) -> tuple[Turn, ...]:
    return (Turn("user", tuple(TextPart(part) if isinstance(part, str) else part for part in parts)),)


def slot_of(finished: Finished, name: str) -> SlotState:
    return next(slot for slot in finished.slots if slot.name == name)


def picture_of(finished: Finished) -> NDArray[np.uint8]:
    picture = slot_of(finished, "image").image
    assert picture is not None
    return picture


def tokens_of(finished: Finished) -> dict[str, list[int]]:
    return {slot.name: slot.tokens.tolist() for slot in finished.slots}
