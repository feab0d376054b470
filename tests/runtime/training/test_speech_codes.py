import random

import pytest
import torch

from runtime.codecs.text import TextCodec
from runtime.engine.narration import Narration
from runtime.training.speech_codes import LEAD, TAIL, SpokenText, _as_read, _as_saved, spoken_text, timing_of
from runtime.training.text import corpus
from tests.support.sentences import sung


@pytest.fixture(scope="module")
def codec() -> TextCodec:
    return TextCodec.train(corpus(random.Random(0))[:2000], 500)


def test_silence_is_cut_short_and_words_keep_their_times(codec: TextCodec) -> None:
    sentence = sung("cat dog")  # 0.1 s of silence, words of 0.3 s, a blank of 0.1 s
    spoken = spoken_text(sentence, torch.arange(23), codec, per_second=25)
    narration = spoken.narration
    assert int(spoken.codes[0]) == max(0, 2 - LEAD)
    assert float(narration.starts[0]) == pytest.approx(2.5)
    assert narration.stop == pytest.approx(20.0)
    assert narration.length == len(spoken.codes) <= round(narration.stop) + TAIL
    said = codec.decode(narration.tokens.tolist())
    assert said == "cat dog"


def test_durations_are_means_and_what_was_never_said_is_guessed_by_its_letters(codec: TextCodec) -> None:
    first, second = codec.encode("two dogs")[:2]

    def said(*lengths: float) -> SpokenText:
        starts = torch.tensor([2.0, 2.0 + lengths[0]])
        stop = 2.0 + sum(lengths)
        return SpokenText(
            "", False, torch.zeros(0), Narration(torch.tensor([first, second]), starts, stop, round(stop) + 4)
        )

    timing = timing_of([said(4.0, 6.0), said(6.0, 8.0)], codec)
    assert timing.durations[first].tolist() == [5.0, 5.0]  # never the last: as long as elsewhere
    assert timing.durations[second].tolist() == [7.0, 7.0]
    assert timing.silence == (2.0, 4.0)
    letters = len(codec.decode([first])) + len(codec.decode([second]))
    other = codec.encode("background")
    guessed = timing.durations[other[0], 0]
    assert float(guessed) == pytest.approx(12.0 / letters * len(codec.decode([other[0]])), rel=1e-3)


def test_what_is_saved_is_read_again(codec: TextCodec) -> None:
    spoken = spoken_text(sung("cat dog"), torch.arange(23), codec, per_second=25)
    again = _as_read(_as_saved(spoken))
    assert again.text == "cat dog"
    assert torch.equal(again.codes, spoken.codes)
    assert torch.equal(again.narration.said, spoken.narration.said)
