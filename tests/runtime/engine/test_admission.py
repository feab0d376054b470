import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from runtime.codecs.image import ImageCodec, ImageError
from runtime.engine.admission import Admission, AdmissionError, _Cache
from runtime.engine.recipe import EMBEDDED_RECIPES, PICTURE, REPLY, TRANSCRIPT, Recipe, SlotRecipe
from runtime.engine.request import GenerationRequest, ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.engine.truncation import Truncation
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()
IMAGE = ImageCodec(MODEL.image_tokenizer, MODEL.image_size_px)
SECOND = SpeechPart(np.random.default_rng(0).integers(-999, 999, 16_000).astype(np.int16), 16_000)
PHOTO = ImagePart(np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8))


def admission(max_positions: int = 512) -> Admission:
    return Admission(MODEL, IMAGE, max_positions)


def request(recipe: str | Recipe, *parts: Part) -> GenerationRequest:
    chosen = EMBEDDED_RECIPES[recipe] if isinstance(recipe, str) else recipe
    return GenerationRequest("r", (Turn("user", parts),), chosen)


def test_text_speech_and_pictures_become_one_canvas() -> None:
    admitted = admission().admit(request("speech_and_image_to_text", TextPart("what is this"), SECOND, PHOTO))
    (speech,) = admitted.canvas.speech
    assert speech.embeddings.shape == (17 + 4, 32)
    assert int((admitted.canvas.image_cells >= 0).sum()) == 100
    assert [slot.name for slot in admitted.canvas.slots] == ["transcript", "text"]
    assert admitted.unprompted is None


def test_a_guided_recipe_gets_a_canvas_with_nothing_said() -> None:
    admitted = admission().admit(request("text_to_image", TextPart("draw a cat")))
    assert admitted.unprompted is not None
    assert admitted.unprompted.slots[0].length == admitted.canvas.slots[0].length
    assert len(admitted.unprompted) < len(admitted.canvas)


def test_a_conversation_that_is_too_long_is_answered_without_its_beginning() -> None:
    said = [Turn(role, (TextPart("red apples " * 10),)) for _ in range(20) for role in ("user", "assistant")]  # type: ignore[arg-type]
    asked = request("text_to_image", TextPart("draw a cat"))
    long = replace(asked, turns=(*said, *asked.turns))
    canvas = admission().admit(long).canvas
    assert 512 - 2 * len(MODEL.text.encode("red apples " * 10)) - 60 < len(canvas) <= 512
    with pytest.raises(AdmissionError, match="at most 512"):
        admission().admit(replace(long, truncation=Truncation(enabled=False)))


def test_media_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    hear = MODEL.backbone.hear
    monkeypatch.setattr(MODEL.backbone, "hear", lambda *args: calls.append("speech") or hear(*args))
    taker = admission()
    first = taker.admit(request("speech_to_text", SECOND))
    again = taker.admit(request("speech_to_text", replace(SECOND, pcm=SECOND.pcm.copy())))
    assert calls == ["speech"]
    assert torch.equal(first.canvas.speech[0].embeddings, again.canvas.speech[0].embeddings)
    taker.admit(request("speech_to_text", replace(SECOND, sample_rate_hz=8000)))
    taker.admit(request("speech_to_text", replace(SECOND, pcm=SECOND.pcm[::-1].copy())))
    assert calls == ["speech"] * 3


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (request("speech_to_text", SpeechPart(np.zeros(0, np.int16), 16_000)), "at least one sample"),
        (request("speech_to_text", SpeechPart(np.zeros((9, 2), np.int16), 16_000)), r"shape \(9, 2\)"),
        (request("speech_to_text", SpeechPart(np.zeros(9, np.int16), 0)), "0 Hz"),
        (request("speech_to_image", TextPart("draw a cat")), "'transcript' along speech, but nothing was spoken"),
        (request("image_to_text", TextPart("red " * 2000)), "positions; at most 512"),
        (request(Recipe("empty", ()), TextPart("a")), "'empty' has no slots"),
        (request(Recipe("odd", (replace(PICTURE, length=99),)), TextPart("a")), "99 positions; a square"),
        (request(Recipe("large", (replace(PICTURE, length=144),)), TextPart("a")), "12 x 12.* length must be 100"),
        (request(Recipe("twins", (REPLY, REPLY)), TextPart("a")), "are text, text; give each its own name"),
        (request("speech_to_text", SpeechPart(np.zeros(9, np.float32), 16_000)), "type float32"),  # type: ignore[arg-type]
        (request(Recipe("no", (replace(REPLY, steps=0),)), TextPart("a")), "0 steps; both must be 1"),
        (request(Recipe("hot", (replace(REPLY, temperature=-1.0),)), TextPart("a")), "temperature -1.0; .* from 0"),
        (request(Recipe("hot", (replace(REPLY, temperature=math.nan),)), TextPart("a")), "temperature nan"),
        (request(Recipe("top", (replace(REPLY, top_p=0.0),)), TextPart("a")), "top_p 0.0; it must be above 0"),
        (request(Recipe("all", (replace(REPLY, commit="soon"),)), TextPart("a")), "commit 'soon'; .* threshold"),  # type: ignore[arg-type]
        (request(Recipe("say", (SlotRecipe("voice", "speech", 9, 3),)), TextPart("a")), "no tokens.*text_to_image"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_words(refused: GenerationRequest, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        admission().admit(refused)


def test_the_cache_holds_so_many_bytes_and_the_newest() -> None:
    cache = _Cache[bytes](10, len)
    made = list[int]()

    def get(key: int, size: int) -> bytes:
        def make() -> bytes:
            made.append(key)
            return bytes(size)

        return cache.get(str(key).encode(), make)

    for key, size in ((1, 6), (2, 4), (1, 6), (3, 4), (1, 6)):
        get(key, size)
    assert made == [1, 2, 3]  # the second went, for the first was asked for again
    get(4, 50)
    get(4, 50)
    get(1, 6)
    assert made == [1, 2, 3, 4, 1]


def test_half_an_hour_of_speech_is_refused_before_it_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODEL.backbone, "hear", lambda *_: pytest.fail("it was encoded"))
    long = SpeechPart(np.zeros(30 * 60 * 16_000, np.int16), 16_000)
    with pytest.raises(AdmissionError, match=r"1800\.0 s of speech take 30000 positions; at most 512"):
        admission().admit(request(Recipe("listen", (TRANSCRIPT,)), long))


def test_pixels_of_a_wrong_shape_are_refused() -> None:
    with pytest.raises(ImageError):
        admission().admit(request("image_to_text", ImagePart(np.zeros((4, 4), np.uint8))))
