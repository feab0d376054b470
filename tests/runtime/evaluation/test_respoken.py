from collections.abc import Iterator

import numpy as np
import pytest

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.request import SpeechPart
from runtime.evaluation.respoken import gaps_in, respoken, said_anew, silenced
from runtime.evaluation.voices import SpeakingModel
from runtime.executors.in_process import InProcessExecutor
from tests.support.sentences import sung
from tests.support.speaking_model import speaking_model

CATS = sung("draw two cats here")
SENTENCES = [CATS, sung("a dog"), sung("good day to cats", plain=True), sung("is it there")]


@pytest.fixture(scope="module")
def speaking() -> Iterator[SpeakingModel]:
    model = speaking_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    yield SpeakingModel(model, engine)
    engine.close()


class OnlyLoud:
    """Hears "two cats" where no sound is missing."""

    name = "only loud"

    def write_down(self, speech: SpeechPart) -> str:
        inside = np.flatnonzero(speech.pcm)
        gaps = np.diff(inside).max()
        return "two cats" if gaps < 0.05 * speech.sample_rate_hz else ""


def test_a_word_that_means_something_is_taken_out_of_sentences_of_the_world() -> None:
    (gap,) = gaps_in(SENTENCES)
    assert gap.sentence is CATS
    assert gap.word in ("two", "cats")


def test_only_the_gap_is_said_anew(speaking: SpeakingModel) -> None:
    gaps = gaps_in(SENTENCES)
    (sound,), (coded,) = said_anew(speaking, gaps), speaking.coded([CATS])
    assert abs(len(sound.pcm) - len(coded.pcm)) <= 960
    (cut,) = silenced(gaps)
    start, stop = (round(seconds * 24_000) for seconds in gaps[0].span)
    assert not cut.pcm[start:stop].any()
    assert np.array_equal(cut.pcm[:start], CATS.pcm[:start])


def test_the_figure_stands_between_the_word_itself_and_silence(speaking: SpeakingModel) -> None:
    figure = respoken(speaking, SENTENCES, 5, OnlyLoud(), str.lower)
    assert (figure.num, figure.ceiling, figure.chance) == (1, 1.0, 0.0)
