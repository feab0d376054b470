from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from runtime.codecs.vocabulary import Vocabulary
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.engine import Sink
from runtime.engine.recipe import EMBEDDED_RECIPES, PUBLISHED_RECIPES, Recipe, SlotRecipe
from runtime.engine.request import GenerationRequest, Part, SpeechPart, TextPart, Turn
from runtime.evaluation.published.answerer import (
    Answer,
    EngineAnswerer,
    Question,
    choose_recipe,
    resized,
    seed_of,
    started,
    weights_digest,
)
from runtime.evaluation.published.errors import SetupError
from runtime.executors.in_process import InProcessExecutor
from runtime.models.backbone import Backbone
from runtime.models.checkpoints import CheckpointError
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model

EVERYTHING = Recipe(
    "everything",
    (
        SlotRecipe("transcript", "text", 4, 2),
        SlotRecipe("image", "image", 16, 2),
        SlotRecipe("speech", "speech", 4, 2),
        SlotRecipe("text", "text", 4, 2),
    ),
)


def question(name: str, *parts: Part) -> Question:
    return Question(name, parts or (TextPart(name),), seed=5)


def test_the_first_of_each_kind_is_the_answer() -> None:
    engine = ScriptedEngine()
    (answer,) = EngineAnswerer(engine, EVERYTHING).answers([question("a")])
    assert answer.id == "a"
    assert answer.text == "a red ball"
    assert answer.picture is not None
    assert answer.picture.shape == (32, 32, 3)
    assert isinstance(answer.speech, SpeechPart)
    assert answer.speech.sample_rate_hz == 22_050
    assert len(answer.speech.pcm) == 11_025
    assert answer.error is None
    (request,) = engine.submitted
    assert request == GenerationRequest("a", (Turn("user", (TextPart("a"),)),), EVERYTHING, seed=5, partial_every=0)


def test_no_sound_is_no_speech() -> None:
    (answer,) = EngineAnswerer(ScriptedEngine(speech_s=0), EVERYTHING).answers([question("a")])
    assert answer.speech is None


def test_an_answer_that_fails_says_why() -> None:
    (answer,) = EngineAnswerer(ScriptedEngine(fails="too long"), EVERYTHING).answers([question("a")])
    assert answer == Answer("a", error="too long")


@pytest.mark.parametrize("in_flight", [1, 3, 10])
def test_so_many_are_in_flight_and_no_more(in_flight: int) -> None:
    taken: list[str] = []
    answered: list[str] = []
    open_at_submit: list[int] = []

    class Counting(ScriptedEngine):
        def submit(self, request: GenerationRequest, sink: Sink) -> None:
            open_at_submit.append(len(taken) - len(answered))
            super().submit(request, sink)

    def questions() -> Iterable[Question]:
        for name in "01234":
            taken.append(name)
            yield question(name)

    answered.extend(answer.id for answer in EngineAnswerer(Counting(), EVERYTHING, in_flight).answers(questions()))
    assert sorted(answered) == taken
    assert max(open_at_submit) == min(in_flight, 5)


def test_the_engine_of_this_process_answers() -> None:
    model = tiny_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    speech = SpeechPart(np.zeros(16_000, np.int16), 16_000)
    try:
        heard = list(EngineAnswerer(engine, model.recipes["speech_to_text"]).answers([question("a", speech)]))
        answerer = EngineAnswerer(engine, model.recipes["text_to_image"], in_flight=2)
        drawn = {answer.id: answer for answer in answerer.answers([question("a"), question("b")])}
        refused = list(EngineAnswerer(engine, model.recipes["speech_to_text"]).answers([question("a")]))
    finally:
        engine.close()
    assert heard[0].error is None
    assert heard[0].picture is None
    assert {name: answer.picture.shape for name, answer in drawn.items() if answer.picture is not None} == {
        "a": (80, 80, 3),
        "b": (80, 80, 3),
    }
    assert "nothing was spoken" in (refused[0].error or "")


class Clicks:
    """A voice that says each code as a tenth of a second at 1 kHz."""

    sample_rate_hz = 1000

    def pcm(self, codes: torch.Tensor) -> NDArray[np.int16]:
        return np.asarray(codes, np.int16).repeat(100)


def test_the_engine_of_this_process_speaks() -> None:
    model = tiny_model()
    vocabulary = Vocabulary.compact(model.text.num_tokens, 8, model.image_tokenizer.config.num_codes)
    backbone = Backbone(replace(model.backbone.config, vocab_size=len(vocabulary)), SPEECH_ENCODER).eval()
    speaking = replace(model, vocabulary=vocabulary, backbone=backbone, voice=Clicks())
    engine = DenoisingEngine(speaking, InProcessExecutor(backbone))
    recipe = Recipe("tts", (SlotRecipe("speech", "speech", 6, 3),))
    try:
        (answer,) = EngineAnswerer(engine, recipe).answers([question("a")])
    finally:
        engine.close()
    assert answer.error is None
    assert answer.speech is not None
    assert answer.speech.sample_rate_hz == 1000
    assert len(answer.speech.pcm) in range(100, 601, 100)


def test_a_model_is_started_from_its_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError), started(tmp_path, 512):
        pass


def test_the_first_recipe_there_is() -> None:
    model = tiny_model()
    assert choose_recipe(model, ("asr", "speech_to_text")).name == "speech_to_text"
    both = replace(model, recipes={"asr": EVERYTHING, **model.recipes})
    assert choose_recipe(both, ("asr", "speech_to_text")) is EVERYTHING
    with pytest.raises(SetupError, match=r"no recipe tts; it has text_to_image, .*--recipe"):
        choose_recipe(model, ("tts",))


def test_length_and_steps_of_the_slot_of_a_modality() -> None:
    recipe = resized(EVERYTHING, "speech", 8, 3)
    assert [(slot.length, slot.steps) for slot in recipe.slots] == [(4, 2), (16, 2), (8, 3), (4, 2)]
    assert resized(EVERYTHING, "text", 1, None).slots[0] == SlotRecipe("transcript", "text", 1, 1)
    assert resized(EVERYTHING, "image", None, 5).slots[1].steps == 5
    assert resized(EVERYTHING, "image", None, None) is EVERYTHING
    with pytest.raises(SetupError, match="makes no speech"):
        resized(EMBEDDED_RECIPES["text_to_image"], "speech", 8, None)


def test_a_length_that_follows_the_question_is_fixed_by_one() -> None:
    recipe = next(recipe for recipe in PUBLISHED_RECIPES.values() if recipe.task == "ASR")
    assert recipe.slots[0].adaptive is not None
    fixed = resized(recipe, "text", 40, 10).slots[0]
    assert (fixed.length, fixed.steps, fixed.adaptive) == (40, 10, None)
    with pytest.raises(SetupError, match="give --length with --steps"):
        resized(recipe, "text", None, 10)


def test_the_digest_tells_weights_apart() -> None:
    one, other = tiny_model(), tiny_model(seed=1)
    assert weights_digest(one.backbone) == weights_digest(tiny_model().backbone) != weights_digest(other.backbone)
    with torch.no_grad():
        one.backbone.lm_head.weight[0, 0] += 1
    assert weights_digest(one.backbone) != weights_digest(tiny_model().backbone)


def test_a_seed_belongs_to_an_item() -> None:
    assert seed_of(0, "a") == seed_of(0, "a")
    assert len({seed_of(0, "a"), seed_of(1, "a"), seed_of(0, "b")}) == 3
    assert 0 <= seed_of(0, "a") < 2**31
