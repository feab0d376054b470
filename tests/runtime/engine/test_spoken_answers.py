"""Answers that are said, by a tiny model with a voice: the engine as it is served, without its thread."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.edits import Edit
from runtime.engine.given import GivenSpeech, GivenText
from runtime.engine.model import OmniModel, load_model, save_model
from runtime.engine.output import EngineOutput, Finished, SlotState, Started
from runtime.engine.recipe import SPEAKING_RECIPES, SPEECH, Recipe
from runtime.engine.request import GenerationRequest, ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.executors.in_process import InProcessExecutor
from tests.support.speaking_model import speaking_model
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model

PHOTO = ImagePart(np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8))
SECOND = SpeechPart(np.random.default_rng(0).integers(-999, 999, 16_000).astype(np.int16), 16_000)
WORDS = "a cat above a dog"


@pytest.fixture(scope="module")
def model() -> OmniModel:
    return speaking_model()


def outputs(model: OmniModel, request: GenerationRequest) -> list[EngineOutput]:
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone), start=False)
    told: list[EngineOutput] = []
    engine.submit(request, told.append)
    engine.run_commands()
    engine.admit_next()
    with torch.inference_mode():
        for _ in range(100):
            engine.step()
    return told


def answered(model: OmniModel, recipe: str | Recipe, *parts: Part, **more: object) -> Finished:
    chosen = SPEAKING_RECIPES[recipe] if isinstance(recipe, str) else recipe
    request = GenerationRequest("r", (Turn("user", parts),), chosen, **more)  # type: ignore[arg-type]
    end = outputs(model, request)[-1]
    assert isinstance(end, Finished)
    return end


def spoken(finished: Finished) -> SlotState:
    assert finished.status == "completed", finished.error
    return next(slot for slot in finished.slots if slot.modality == "speech")


def codes_of(model: OmniModel, slot: SlotState) -> Sequence[int]:
    first, stop = model.vocabulary.speech
    return [int(token) for token in slot.tokens if first <= token < stop]


def test_what_is_written_is_said_as_long_as_its_words_last(model: OmniModel) -> None:
    slot = spoken(answered(model, "text_to_speech", TextPart(WORDS)))
    length = 1 + 2 * len(model.text.encode(WORDS)) + 1 + 2
    assert len(codes_of(model, slot)) == len(slot.tokens) == length
    assert slot.speech is not None
    assert len(slot.speech.pcm) == length * 960
    assert slot.speech.sample_rate_hz == 24_000


@pytest.mark.parametrize(
    ("recipe", "parts"),
    [
        ("image_to_speech", (PHOTO, TextPart("what is this"))),
        ("speech_and_image_to_speech", (SECOND, PHOTO)),
        ("speech_to_image_and_speech", (SECOND,)),
        ("text_to_image_and_speech", (TextPart("draw a cat"),)),
        ("text_to_text_and_speech", (TextPart("a cat"),)),
    ],
)
def test_a_spoken_answer_is_as_long_as_what_was_answered(
    model: OmniModel, recipe: str, parts: tuple[Part, ...]
) -> None:
    end = answered(model, recipe, *parts)
    slot, text = spoken(end), next(slot for slot in end.slots if slot.name == "text")
    first, stop = model.vocabulary.text
    num_tokens = 0
    for token in text.tokens:
        if int(token) in model.vocabulary.ends("text"):
            break
        num_tokens += int(first <= token < stop)
    length = 1 + 2 * num_tokens + 1 + 2 if num_tokens else 0
    assert len(codes_of(model, slot)) == length
    assert len(slot.tokens) == 110


def test_words_and_pictures_are_the_same_whether_they_are_said_or_not(model: OmniModel) -> None:
    silent = answered(model, "text_to_image", TextPart("draw a cat"), seed=3)
    said = answered(model, "text_to_image_and_speech", TextPart("draw a cat"), seed=3)
    for before, after in zip(silent.slots, said.slots, strict=False):
        assert before.name == after.name
        assert before.tokens.tolist() == after.tokens.tolist()


def test_given_words_are_said(model: OmniModel) -> None:
    given = (GivenText("text", ("a dog",)),)
    end = answered(model, "image_to_speech", PHOTO, given=given)
    assert next(slot for slot in end.slots if slot.name == "text").text == "a dog"
    assert len(codes_of(model, spoken(end))) == 1 + 2 * len(model.text.encode("a dog")) + 1 + 2


def test_a_stretch_of_given_speech_is_said_anew(model: OmniModel) -> None:
    assert model.voice is not None
    pcm = np.random.default_rng(1).integers(-9000, 9000, 12_000, np.int16)
    codes = model.voice.encode(pcm, 24_000).tolist()  # type: ignore[attr-defined]
    given = (GivenSpeech("speech", pcm, 24_000, (0.08, 0.16)),)
    found = codes_of(model, spoken(answered(model, "text_to_speech", TextPart(WORDS), given=given)))
    first = model.vocabulary.speech[0]
    assert [code - first for code in found[:2] + found[4 : len(codes)]] == codes[:2] + codes[4:]


def test_a_finalized_answer_is_whole(model: OmniModel) -> None:
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone), start=False)
    told: list[EngineOutput] = []
    engine.submit(GenerationRequest("r", (Turn("user", (PHOTO,)),), SPEAKING_RECIPES["image_to_speech"]), told.append)
    engine.run_commands()
    engine.admit_next()
    engine.finalize("r")
    engine.run_commands()
    for _ in range(3):
        engine.step()
    (end,) = [output for output in told if isinstance(output, Finished)]
    assert end.status == "incomplete"
    assert all(slot.complete for slot in end.slots)


def test_the_slots_are_told_before_any_word_is_known(model: OmniModel) -> None:
    request = GenerationRequest("r", (Turn("user", (PHOTO,)),), SPEAKING_RECIPES["image_to_speech"])
    started = outputs(model, request)[0]
    assert isinstance(started, Started)
    assert [(slot.name, len(slot.tokens)) for slot in started.slots] == [("text", 16), ("speech", 110)]


@pytest.mark.parametrize(
    ("recipe", "part", "says"),
    [
        ("text_to_speech", PHOTO, "the last turn holds no words"),
        (Recipe("odd", (replace(SPEECH, says="reply"),)), TextPart("a"), "of which there is none"),
        (Recipe("odd", (replace(SPEECH, modality="text"),)), TextPart("a"), "only speech of a model with a voice"),
    ],
)
def test_words_that_are_nowhere_are_refused(model: OmniModel, recipe: str | Recipe, part: Part, says: str) -> None:
    end = answered(model, recipe, part)
    assert end.status == "failed"
    assert says in str(end.error)


def test_a_model_without_a_voice_says_so() -> None:
    end = answered(tiny_model(num_speech=32), "text_to_speech", TextPart("a cat"))
    assert "only speech of a model with a voice" in str(end.error)


def test_a_voice_is_saved_and_loaded_with_its_model(model: OmniModel, tmp_path) -> None:  # type: ignore[no-untyped-def]
    save_model(model, tmp_path, SPEECH_ENCODER)
    again = load_model(tmp_path)
    assert again.recipes is SPEAKING_RECIPES
    assert again.timing is not None
    assert again.timing.silence == (1.0, 2.0)
    assert torch.equal(again.timing.durations, torch.tensor([2.0, 3.0]).expand(model.text.num_tokens, 2))
    slot = spoken(answered(again, "text_to_speech", TextPart(WORDS)))
    assert slot.speech is not None


def test_a_word_may_be_said_anew(model: OmniModel) -> None:
    """Edits know the slot as any other."""
    given = (Edit("set", "speech", (3,), (model.vocabulary.speech[0] + 5,)),)
    found = codes_of(model, spoken(answered(model, "text_to_speech", TextPart(WORDS), given=given)))
    assert found[3] == model.vocabulary.speech[0] + 5


@pytest.mark.parametrize("recipe", ["text_to_speech", "image_to_speech"])
def test_speech_can_be_guided_away_from_what_would_be_said_of_nothing(model: OmniModel, recipe: str) -> None:
    plain = SPEAKING_RECIPES[recipe]
    *before, speech = plain.slots
    guided = replace(plain, slots=(*before, replace(speech, guidance_scale=2.0)))
    parts = (TextPart(WORDS),) if recipe == "text_to_speech" else (PHOTO, TextPart("what is this?"))
    plainly, otherwise = (spoken(answered(model, one, *parts)) for one in (plain, guided))
    assert len(codes_of(model, otherwise)) == len(codes_of(model, plainly))
    assert codes_of(model, otherwise) != codes_of(model, plainly)
