from collections.abc import Iterator

import pytest

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.request import SpeechPart
from runtime.evaluation.speaking import understood
from runtime.evaluation.voices import SpeakingModel
from runtime.executors.in_process import InProcessExecutor
from tests.support.sentences import sung
from tests.support.speaking_model import speaking_model

SENTENCES = [sung("a cat"), sung("two dogs"), sung("good day", plain=True)]


class Counter:
    """Hears a word "long" for every 0.3 s."""

    name = "counter"

    def write_down(self, speech: SpeechPart) -> str:
        return " ".join(["long"] * int(len(speech.pcm) / speech.sample_rate_hz / 0.3))


@pytest.fixture(scope="module")
def speaking() -> Iterator[SpeakingModel]:
    model = speaking_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    yield SpeakingModel(model, engine)
    engine.close()


def test_each_way_is_judged_on_each_kind(speaking: SpeakingModel) -> None:
    figures = list(understood(speaking.ways, SENTENCES, 5, Counter(), str.lower))
    assert [figure.measure for figure in figures] == [
        f"{way}, {kind}: word errors" for kind in ("its world", "plain English") for way in speaking.ways
    ]
    assert [figure.num for figure in figures] == [2, 2, 2, 1, 1, 1]
    assert all(figure.value > 0 for figure in figures)


class Length:
    """Finds long speech natural."""

    def score(self, speech: SpeechPart) -> float:
        return len(speech.pcm) / speech.sample_rate_hz


def test_what_is_said_is_found_natural_or_not(speaking: SpeakingModel) -> None:
    figures = list(understood(speaking.ways, SENTENCES, 1, Counter(), str.lower, Length()))
    assert [figure.measure.split(": ")[-1] for figure in figures] == ["word errors", "DistillMOS"] * 6
    first, second = figures[1], figures[3]
    assert first.value == pytest.approx(0.1 * (len("a cat") + 2))
    assert (first.ceiling, second.ceiling) == (None, first.value)
