"""A model with the embedded one's kind of voice before stock clients: what it reads aloud, what it answers aloud."""

import base64
import io
from collections.abc import Iterator

import numpy as np
import openai
import pytest

from omnisdk.protocol.settings import DEFAULT_OMNI, OmniSettings, OutputModality, merged
from runtime.codecs.image import encode_png
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.recipe import SPEAKING_RECIPES
from runtime.engine.request import ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.executors.in_process import InProcessExecutor
from runtime.server.model_card import ModelCard, PictureShape
from runtime.server.task import choose_task
from tests.support.live_server import serving
from tests.support.speaking_model import speaking_model

CARD = ModelCard("omni-test", SPEAKING_RECIPES, PictureShape(80, 80, 10, 10), speech_code_ms=40)
WORDS, PHOTO = TextPart("a cat"), ImagePart(np.zeros((8, 8, 3), np.uint8))
SAID = SpeechPart(np.zeros(2400, np.int16), 24_000)


@pytest.mark.parametrize(
    ("parts", "output", "recipe"),
    [
        ((WORDS,), ["speech"], "text_to_speech"),
        ((WORDS,), ["image", "text"], "text_to_image"),
        ((WORDS,), ["image", "text", "speech"], "text_to_image_and_speech"),
        ((SAID,), ["speech"], "speech_to_image_and_speech"),
        ((SAID,), ["text"], "speech_to_text"),
        ((SAID,), ["image", "text"], "speech_to_image"),
        ((SAID,), ["image", "speech"], "speech_to_image_and_speech"),
        ((PHOTO, WORDS), ["text"], "image_to_text"),
        ((PHOTO, WORDS), ["text", "speech"], "image_to_speech"),
        ((SAID, PHOTO), ["speech"], "speech_and_image_to_speech"),
        ((SAID, PHOTO), ["text"], "speech_and_image_to_text"),
    ],
)
def test_it_speaks_where_speech_is_wanted(parts: tuple[Part, ...], output: list[OutputModality], recipe: str) -> None:
    settings = merged(DEFAULT_OMNI, OmniSettings(output=output))
    assert choose_task(CARD, [Turn("user", parts)], settings).recipe.name == recipe


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    model = speaking_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    with serving(engine, CARD) as address:
        yield address
    engine.close()


def test_words_are_read_aloud_over_http(url: str) -> None:
    model = speaking_model()
    codes = 1 + 2 * len(model.text.encode("a cat above a dog")) + 1 + 2
    with openai.OpenAI(base_url=url.replace("ws", "http", 1) + "/v1", api_key="any", max_retries=0) as client:
        create = client.audio.speech.create
        pcm = create(model="omni", voice="alloy", input="a cat above a dog", response_format="pcm").read()
    assert len(pcm) == codes * 960 * 2


@pytest.mark.anyio
async def test_a_question_about_a_picture_is_answered_aloud(url: str) -> None:
    png = encode_png(np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8))
    picture = "data:image/png;base64," + base64.b64encode(png).decode()
    sound, words = io.BytesIO(), ""
    client = openai.AsyncOpenAI(base_url=url + "/v1", websocket_base_url=url + "/v1", api_key="any")
    async with client.realtime.connect(model="omni") as connection:
        await connection.session.update(session={"type": "realtime", "output_modalities": ["audio"]})
        content = [{"type": "input_image", "image_url": picture}, {"type": "input_text", "text": "what is this"}]
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})  # type: ignore[typeddict-item]
        await connection.response.create()
        async for event in connection:
            if event.type == "response.output_audio.delta":
                sound.write(base64.b64decode(event.delta))
            elif event.type == "response.output_audio_transcript.done":
                words = event.transcript
            elif event.type == "response.done":
                assert event.response.status == "completed"
                break
    assert words
    codes, rest = divmod(len(sound.getvalue()), 960 * 2)
    assert rest == 0
    assert codes > 3  # more than silence
    await client.close()
