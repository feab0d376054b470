from collections.abc import Iterator

import click
import pytest

from runtime.engine.denoising import DenoisingEngine
from runtime.evaluation.voices import SpeakingModel, in_silence, recorded
from runtime.executors.in_process import InProcessExecutor
from tests.support.sentences import sung
from tests.support.speaking_model import speaking_model
from tests.support.tiny_model import tiny_model

SENTENCES = [sung("a cat"), sung("two dogs"), sung("good day", plain=True)]


@pytest.fixture(scope="module")
def speaking() -> Iterator[SpeakingModel]:
    model = speaking_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    yield SpeakingModel(model, engine)
    engine.close()


def test_all_ways_say_all_sentences(speaking: SpeakingModel) -> None:
    original, coded, said = (say(SENTENCES) for say in speaking.ways.values())
    assert len(original) == len(coded) == len(said) == 3
    assert abs(len(coded[0].pcm) - len(original[0].pcm)) <= 960
    text = speaking.model.text
    assert len(said[0].pcm) == (1 + 2 * len(text.encode("a cat")) + 1 + 2) * 960


def test_silence_is_put_around_what_is_judged() -> None:
    (speech,) = recorded(SENTENCES[:1])
    wrapped = in_silence(speech)
    assert len(wrapped.pcm) == len(speech.pcm) + 12_000
    assert not wrapped.pcm[:6000].any()


def test_a_model_without_a_voice_is_refused() -> None:
    model = tiny_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone), start=False)
    with pytest.raises(click.ClickException, match="does not speak"):
        SpeakingModel(model, engine)
