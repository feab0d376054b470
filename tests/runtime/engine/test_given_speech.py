"""A stretch of a recording is said anew, by a tiny model that speaks and makes tokens of sound."""

from dataclasses import replace

import numpy as np
import pytest

from runtime.codecs.image import ImageCodec
from runtime.codecs.vocabulary import Vocabulary
from runtime.diffusion.canvas import Canvas
from runtime.engine.admission import Admission
from runtime.engine.edits import EditError
from runtime.engine.given import DYING_AWAY_S, HEARD_BEFORE_S, Encoders, GivenSpeech
from runtime.engine.model import OmniModel
from runtime.engine.recipe import SPEAKING_RECIPES, Recipe, Recorded, SlotRecipe
from runtime.engine.request import GenerationRequest, TextPart, Turn
from runtime.models.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig
from tests.support.speaking_model import speaking_model
from tests.support.tiny_model import tiny_model

NUM_CODES = 32
RATE_HZ = 16_000
SPOKEN = np.random.default_rng(0).integers(-9000, 9000, RATE_HZ, np.int16)  # a second
SAY = Recipe("text_to_speech", (SlotRecipe("speech", "speech", 4, steps=4),))


@pytest.fixture(scope="module")
def speaking() -> OmniModel:
    config = SpeechTokenizerConfig(
        d_model=16, encoder_attention_heads=2, encoder_ffn_dim=24, quantize_position=1, quantize_vocab_size=NUM_CODES
    )
    return replace(tiny_model(num_speech=NUM_CODES), speech_tokenizer=SpeechTokenizer(config).eval())


def laid_out(model: OmniModel, *open_s: float) -> Canvas:
    given = GivenSpeech("speech", SPOKEN, RATE_HZ, open_s)  # type: ignore[arg-type]
    turns = (Turn("user", (TextPart("two"),)),)
    admission = Admission(model, ImageCodec(model.image_tokenizer, 80), 512)
    return admission.admit(GenerationRequest("r", turns, SAY, given=(given,))).canvas


def test_the_stretch_is_open_and_the_rest_stands(speaking: OmniModel) -> None:
    canvas = laid_out(speaking, 0.25, 0.5)
    slot = canvas.slot("speech")
    tokens = canvas.tokens_of(slot)
    first, stop = speaking.vocabulary.speech
    assert slot.length == 14  # 12.5 codes of 80 ms, begun ones whole, and an end
    assert (tokens == canvas.mask_id).nonzero()[:, 0].tolist() == [3, 4, 5, 6]
    assert all(first <= int(tokens[place]) < stop for place in (0, 1, 2, 7, 12))
    assert int(tokens[13]) in slot.ends
    assert set(slot.ends) <= set(slot.forbidden)  # nothing in it can end it


def test_what_lies_outside_is_refused(speaking: OmniModel) -> None:
    with pytest.raises(EditError, match="positions of 80 ms"):
        laid_out(speaking, 1.2, 1.4)


def test_a_model_that_makes_no_tokens_of_sound_says_so() -> None:
    with pytest.raises(EditError, match="no part that makes tokens of sound"):
        laid_out(tiny_model(num_speech=NUM_CODES), 0.25, 0.5)


def test_the_words_lie_where_there_is_a_voice() -> None:
    encoders = Encoders(Vocabulary.compact(9, NUM_CODES, 4), None, None, code_s=0.04)  # type: ignore[arg-type]
    quiet = np.zeros(2 * RATE_HZ, np.int16)
    given = GivenSpeech("speech", np.concatenate([quiet, SPOKEN, quiet]), RATE_HZ, (2.2, 2.4))
    lead, tail = HEARD_BEFORE_S / 0.04, DYING_AWAY_S / 0.04
    assert encoders.recorded(given) == Recorded(50 + lead, 75 + tail, 2.2 / 0.04, 2.4 / 0.04)
    assert encoders.recorded(replace(given, pcm=SPOKEN)).stop == 25
    assert encoders.recorded(replace(given, pcm=quiet)) == Recorded(0, 50, 2.2 / 0.04, 2.4 / 0.04)


def test_a_recording_is_as_long_as_it_is_whatever_its_words_take() -> None:
    """The slot that says given words takes the recording's length, and its words lie along all of it."""
    model = speaking_model()
    recording = SPOKEN[: RATE_HZ * 4 // 5]  # 20 codes
    for words in ("two", "a cat above a dog on a blue background"):
        request = GenerationRequest(
            "r",
            (Turn("user", (TextPart(words),)),),
            SPEAKING_RECIPES["text_to_speech"],
            given=(GivenSpeech("speech", recording, RATE_HZ, (0.2, 0.4)),),
        )
        canvas = Admission(model, ImageCodec(model.image_tokenizer, 80), 512).admit(request).canvas
        (slot,) = canvas.slots
        assert slot.length == 21
        assert (canvas.tokens_of(slot) == canvas.mask_id).nonzero()[:, 0].tolist() == [5, 6, 7, 8, 9]
        assert len(canvas.said(slot)) == 20
        assert (canvas.spoken[slot.positions][5:10] >= 0).all()  # words are said where it is open
