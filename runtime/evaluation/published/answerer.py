"""Asking a model the questions of a benchmark: the interface, and its implementation over an engine."""

import hashlib
import queue
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from runtime.diffusion.canvas import Modality
from runtime.engine.denoising import DenoisingEngine, EngineLimits
from runtime.engine.engine import Engine
from runtime.engine.model import OmniModel, load_model
from runtime.engine.output import EngineOutput, Finished, SlotState
from runtime.engine.recipe import Recipe
from runtime.engine.request import GenerationRequest, Part, SpeechPart, Turn
from runtime.evaluation.published.errors import SetupError
from runtime.executors.in_process import InProcessExecutor


@dataclass(frozen=True)
class Question:
    """What a user says in one turn, and the seed of the answer. `id` is unique within a benchmark."""

    id: str
    parts: tuple[Part, ...]
    seed: int


@dataclass(frozen=True)
class Answer:
    """What came: the first of each kind, if there is one.

    picture: (height, width, 3) uint8 RGB. error: why there is no answer; everything else is empty then.
    """

    id: str
    text: str = ""
    picture: NDArray[np.uint8] | None = None
    speech: SpeechPart | None = None
    error: str | None = None


class Answerer(Protocol):
    """Answers the questions of a benchmark."""

    def answers(self, questions: Iterable[Question]) -> Iterator[Answer]:
        """One answer for each question, in any order. Questions are taken as they are needed."""


@dataclass(frozen=True)
class EngineAnswerer:
    """Implements Answerer on an engine with one recipe; `in_flight` questions at a time."""

    engine: Engine
    recipe: Recipe
    in_flight: int = 1

    def answers(self, questions: Iterable[Question]) -> Iterator[Answer]:
        done: queue.SimpleQueue[Finished] = queue.SimpleQueue()

        def sink(output: EngineOutput) -> None:
            if isinstance(output, Finished):
                done.put(output)

        num_running = 0
        for question in questions:
            if num_running == self.in_flight:
                yield answer_of(done.get())
                num_running -= 1
            self.engine.submit(self._request(question), sink)
            num_running += 1
        for _ in range(num_running):
            yield answer_of(done.get())

    def _request(self, question: Question) -> GenerationRequest:
        turns = (Turn("user", question.parts),)
        return GenerationRequest(question.id, turns, self.recipe, question.seed, partial_every=0)


def answer_of(finished: Finished) -> Answer:
    if finished.status != "completed":
        return Answer(finished.request_id, error=finished.error or f"the answer ended {finished.status}")
    text, picture, speech = (_first(finished, modality) for modality in ("text", "image", "speech"))
    sound = speech.speech if speech else None
    return Answer(
        finished.request_id,
        text=(text.text or "") if text else "",
        picture=picture.image if picture else None,
        speech=SpeechPart(sound.pcm, sound.sample_rate_hz) if sound is not None and len(sound.pcm) else None,
    )


def _first(finished: Finished, modality: Modality) -> SlotState | None:
    return next((slot for slot in finished.slots if slot.modality == modality), None)


@contextmanager
def started(path: Path, canvas_positions: int) -> Iterator[tuple[OmniModel, Engine]]:
    """A model, and an engine on it for as long as the context lasts. Raises CheckpointError."""
    model = load_model(path)
    engine = DenoisingEngine(
        model, InProcessExecutor(model.backbone), EngineLimits(canvas_positions, max(4096, canvas_positions))
    )
    try:
        yield model, engine
    finally:
        engine.close()


def choose_recipe(model: OmniModel, names: tuple[str, ...]) -> Recipe:
    """The first of these names that the model has a recipe for. Raises SetupError."""
    for name in names:
        if name in model.recipes:
            return model.recipes[name]
    raise SetupError(
        f"the model {model.name} has no recipe {' or '.join(names)}; it has {', '.join(model.recipes)}; "
        "choose one with --recipe"
    )


def resized(recipe: Recipe, modality: Modality, length: int | None, steps: int | None) -> Recipe:
    """With another length or number of steps for its first slot of a modality. Raises SetupError."""
    if length is None and steps is None:
        return recipe
    index = next((i for i, slot in enumerate(recipe.slots) if slot.modality == modality), None)
    if index is None:
        raise SetupError(f"recipe {recipe.name!r} makes no {modality}, so its length and steps cannot be set")
    slot = recipe.slots[index]
    if length is not None:
        slot = replace(slot, length=length, adaptive=None, steps=min(slot.steps, length))
    elif slot.adaptive is not None:
        raise SetupError(
            f"the length of recipe {recipe.name!r} follows what is asked, and its steps follow the length; "
            "give --length with --steps"
        )
    if steps is not None:
        slot = replace(slot, steps=steps)
    return replace(recipe, slots=(*recipe.slots[:index], slot, *recipe.slots[index + 1 :]))


def weights_digest(network: nn.Module) -> str:
    """Tells one training state of a network from another: a hash of the first 64 values of every parameter."""
    digest = hashlib.sha256()
    for name, parameter in network.named_parameters():
        values = parameter.detach().reshape(-1)[:64].float().cpu().numpy()
        digest.update(name.encode() + values.tobytes())
    return digest.hexdigest()[:16]


def seed_of(seed: int, item_id: str) -> int:
    """The seed of one item: it depends on nothing but the seed of the run and the item's id; below 2 ** 31."""
    digest = hashlib.blake2b(f"{seed}:{item_id}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") >> 1
