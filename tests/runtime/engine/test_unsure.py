"""A tiny model that knows nothing, asked about a picture: the engine as it is served, without its thread."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.given import Given, GivenText
from runtime.engine.model import doubting
from runtime.engine.output import EngineOutput, Finished
from runtime.engine.request import GenerationRequest, ImagePart, TextPart, Turn
from runtime.engine.rules import Unsure
from runtime.evaluation.answers import slot_of
from runtime.executors.in_process import InProcessExecutor
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()
ASKED = Turn("user", (ImagePart(np.zeros((80, 80, 3), np.uint8)), TextPart("what is this")))


def answer(unsure: Unsure, given: Sequence[Given] = (), **numbers: object) -> Finished:
    recipe = doubting(MODEL.recipes, unsure)["image_to_text"]
    recipe = replace(recipe, slots=(replace(recipe.slots[0], **numbers),))  # type: ignore[arg-type]
    engine = DenoisingEngine(MODEL, InProcessExecutor(MODEL.backbone), start=False)
    told: list[EngineOutput] = []
    engine.submit(GenerationRequest("r", (ASKED,), recipe, given=tuple(given)), told.append)
    engine.run_commands()
    engine.admit_next()
    with torch.inference_mode():
        for _ in range(20):
            engine.step()
    end = told[-1]
    assert isinstance(end, Finished)
    assert end.status == "completed", end.error
    return end


def unsure_by(margin: float) -> Unsure:
    return Unsure("who knows", margin, ("image_to_text",))


def test_who_does_not_know_says_so_in_one_step() -> None:
    finished = answer(unsure_by(99.0), steps=4, commit="schedule")
    assert slot_of(finished, "text").text == "who knows"
    assert finished.steps == 1


def test_who_is_sure_enough_answers() -> None:
    assert slot_of(answer(unsure_by(-99.0)), "text").text != "who knows"


@pytest.mark.parametrize(
    ("given", "numbers"), [((GivenText("text", ("a ", " dog")),), {}), ((), {"length": 2, "steps": 1})]
)
def test_what_is_given_is_filled_in_and_what_does_not_fit_is_not_said(
    given: Sequence[Given], numbers: dict[str, object]
) -> None:
    assert "who knows" not in (slot_of(answer(unsure_by(99.0), given, **numbers), "text").text or "")
