from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from runtime.codecs.vocabulary import BEGIN_OF_SPEECH, TURN_END, TURN_START, Vocabulary
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import OmniModel
from runtime.engine.output import EngineOutput, Finished, SlotState, Started, StepOutput
from runtime.engine.prompt import REFERENCE_CHAT
from runtime.engine.recipe import PUBLISHED_RECIPES, PUBLISHED_TEXT, Adaptive, Recipe, SlotRecipe
from runtime.engine.reference import ReferencePrompt, generate
from runtime.engine.reference_response import reference_rule, written
from runtime.engine.request import GenerationRequest, Part, SpeechPart, TextPart, Turn
from runtime.executors.in_process import InProcessExecutor
from runtime.models.backbone import Backbone
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model

SPEECH_CODES = 50
SPOKEN = SpeechPart(np.ones(16_000, np.int16), 16_000)
PICTURE = replace(PUBLISHED_RECIPES["speech_to_image"].slots[0], length=100, steps=20)


def reference_model() -> OmniModel:
    """The tiny model with speech tokens, answering as the published code does."""
    model = tiny_model()
    codes = model.image_tokenizer.config.num_codes
    vocabulary = replace(
        Vocabulary.compact(model.text.num_tokens, SPEECH_CODES, codes), answer_ends=Vocabulary.published().answer_ends
    )
    torch.manual_seed(1)
    config = replace(model.backbone.config, vocab_size=len(vocabulary), tie_word_embeddings=False)
    return replace(
        model,
        vocabulary=vocabulary,
        backbone=Backbone(config, SPEECH_ENCODER).eval(),
        chat=REFERENCE_CHAT,
        fidelity="reference",
        recipes=PUBLISHED_RECIPES,
    )


MODEL = reference_model()
V = MODEL.vocabulary


def answer(recipe: Recipe, *parts: Part, seed: int = 0, finalize_after: int | None = None) -> list[EngineOutput]:
    engine = DenoisingEngine(MODEL, InProcessExecutor(MODEL.backbone, "float32"), start=False)
    told: list[EngineOutput] = []
    engine.submit(GenerationRequest("r", (Turn("user", parts),), recipe, seed=seed), told.append)
    for step in range(1000):
        if step == finalize_after:
            engine.finalize("r")
        engine.run_commands()
        engine.admit_next()
        engine.step()
        if told and isinstance(told[-1], Finished):
            return told
    raise AssertionError("it never ended")


def finished(told: Sequence[EngineOutput]) -> Finished:
    end = told[-1]
    assert isinstance(end, Finished), end
    assert end.error is None
    return end


def slot(end: Finished, name: str) -> SlotState:
    return next(state for state in end.slots if state.name == name)


def test_the_engine_gives_what_the_published_loop_gives() -> None:
    recipe = Recipe("ask", (replace(PUBLISHED_TEXT, length=12, steps=6, top_p=0.9),))
    end = finished(answer(recipe, TextPart("a cat")))
    encode = MODEL.text.encode
    asked = [V[TURN_START], *encode("user\na cat"), V[TURN_END], *encode("\n")]
    prompt = torch.tensor([*asked, V[TURN_START], *encode("assistant\n")])
    history = generate(
        InProcessExecutor(MODEL.backbone, "float32"),
        ReferencePrompt(prompt),
        reference_rule(recipe, V),
        mask_id=V.mask_id,
        vocab_size=len(V),
    )
    assert slot(end, "text").tokens.tolist() == history[-1].token_ids[len(prompt) :].tolist()
    assert end.steps == 6


def test_a_picture_is_read_off_wherever_its_tokens_stand() -> None:
    told = answer(Recipe("draw", (PICTURE,), system="draw it"), SPOKEN)
    assert isinstance(told[0], Started)
    assert told[0].slots[0].grid == (10, 10)
    assert any(isinstance(output, StepOutput) and output.slots[0].paint is not None for output in told)
    end = finished(told)
    image = slot(end, "image").image
    assert image is not None
    assert image.shape == (80, 80, 3)
    assert end.usage.input_speech > 0
    told_of = end.usage.output_text + end.usage.output_image + end.usage.output_speech
    assert told_of == sum(end.unmasked_per_step) <= 104  # a position may stay masked, as published


def test_speech_begins_after_a_fifth() -> None:
    lead = replace(PUBLISHED_TEXT, length=25, steps=5)
    recipe = Recipe("speak", (lead, SlotRecipe("speech", "speech", 102, 20, confidence="entropy")), system="s")
    rule = reference_rule(recipe, V)
    assert rule.max_new_tokens == 128
    assert rule.begin_of_speech == V[BEGIN_OF_SPEECH]
    assert rule.num_steps == 25 * 128 // 127
    end = finished(answer(recipe, SPOKEN))
    assert slot(end, "speech").tokens.shape == (102,)
    assert slot(end, "text").text is not None


@pytest.mark.parametrize(("name", "tokens", "steps"), [("image_to_text", 64, 64), ("text_to_image", 260, 260)])
def test_the_published_recipes_are_the_published_numbers(name: str, tokens: int, steps: int) -> None:
    rule = reference_rule(PUBLISHED_RECIPES[name], Vocabulary.published())
    assert (rule.max_new_tokens, rule.num_steps, rule.top_k, rule.top_p) == (tokens, steps, 50, 0.9)
    assert (rule.temperature, rule.confidence) == (0.0, "entropy")


def test_spoken_questions_are_answered_in_128_tokens() -> None:
    rule = reference_rule(PUBLISHED_RECIPES["speech_and_image_to_speech"], Vocabulary.published())
    assert (rule.max_new_tokens, rule.num_steps, rule.repeat_penalty) == (128, 128, 1.2)


def test_the_same_seed_draws_the_same_answer() -> None:
    recipe = Recipe("ask", (replace(PUBLISHED_TEXT, length=12, steps=6, temperature=3.0),))
    same = [slot(finished(answer(recipe, TextPart("a cat"), seed=7)), "text").tokens.tolist() for _ in range(2)]
    other = slot(finished(answer(recipe, TextPart("a cat"), seed=8)), "text").tokens.tolist()
    assert same[0] == same[1] != other


def test_it_can_be_ended_early_with_the_best_so_far() -> None:
    recipe = Recipe("ask", (replace(PUBLISHED_TEXT, length=40, steps=40),))
    end = finished(answer(recipe, TextPart("a cat"), finalize_after=5))
    assert end.status == "incomplete"
    assert end.steps < 10
    assert not bool((slot(end, "text").tokens < 0).any())


def test_the_marks_of_a_turn_are_read_out() -> None:
    from runtime.codecs.image import ImageCodec
    from runtime.engine.preview import Previewer

    previewer = Previewer(V, MODEL.text, ImageCodec(MODEL.image_tokenizer, 80))
    said = [*MODEL.text.encode("a cat"), V[TURN_END], V[TURN_END], *MODEL.text.encode("a dog")]
    assert written(torch.tensor(said), previewer) == "a cat<|im_end|><|im_end|>a dog"


def test_lengths_that_follow_the_conversation_are_settled_first() -> None:
    slot_recipe = replace(PUBLISHED_TEXT, length=50, steps=25, adaptive=Adaptive("prompt", 0.5))
    end = finished(answer(Recipe("listen", (slot_recipe,)), SPOKEN))
    tokens = slot(end, "text").tokens
    assert 1 < len(tokens) < 50
    assert end.steps == len(tokens) // 2
