import random

import numpy as np
import pytest
import torch

from runtime.codecs.speech import SpeechFrontEnd
from runtime.codecs.text import TextCodec
from runtime.training.data.speech import Utterance
from runtime.training.speech_encoder import (
    LETTERS,
    UNKNOWN,
    distorted,
    fit_front_end,
    greedy_letters,
    hide_parts,
    rows_saying,
    sample_of,
    token_spans,
    warped,
)


@pytest.fixture(scope="module")
def codec() -> TextCodec:
    return TextCodec.train(["two red apples", "draw a cat"] * 5, 320)


def utterance(spans: tuple[tuple[float, float], ...] | None) -> Utterance:
    pcm = (np.sin(np.arange(16_000) / 20) * 9000).astype(np.int16)
    return Utterance("two apples", "hibari/heart", pcm, spans)


def test_a_row_takes_what_is_said_in_it() -> None:
    labels = rows_saying([(3, 0.06, 0.18), (4, 0.18, 0.19)], 6, speed=1.0)
    assert labels.tolist() == [0, 3, 3, 4, 0, 0]


def test_faster_speech_is_said_earlier() -> None:
    assert rows_saying([(5, 0.24, 0.48)], 6, speed=2.0).tolist() == [0, 0, 5, 5, 0, 0]


def test_tokens_share_the_time_of_their_word(codec: TextCodec) -> None:
    spans = token_spans("two apples", [(0.0, 0.2), (0.3, 0.9)], codec)
    assert spans[0][1] == 0.0
    assert spans[-1][2] == pytest.approx(0.9)
    assert [token for token, _, _ in spans] == codec.encode("two") + codec.encode("apples")


def test_samples_know_their_rows_or_say_that_they_do_not(codec: TextCodec) -> None:
    front_end = SpeechFrontEnd(torch.zeros(560), torch.ones(560), 0.1)
    told = sample_of(utterance(((0.1, 0.4), (0.5, 0.9))), codec, front_end)
    assert told.features.shape == (len(told.letters), 560)
    assert LETTERS.index("t") in told.letters.tolist()
    untold = sample_of(utterance(None), codec, front_end, random.Random(0))
    assert set(untold.tokens.tolist()) == {UNKNOWN}


def test_distortion_changes_length_as_it_says() -> None:
    for seed in range(8):
        pcm, speed = distorted(utterance(None).pcm, random.Random(seed))
        assert len(pcm) == pytest.approx(16_000 / speed, abs=2)
        assert pcm.dtype == np.int16


def test_front_end_brings_features_to_mean_zero_and_spread_one() -> None:
    rng = np.random.default_rng(0)
    noise = [Utterance("a", "x/y", rng.integers(-3000, 3000, 20_000).astype(np.int16), None) for _ in range(3)]
    front_end = fit_front_end(noise)
    features = torch.cat([front_end(u.pcm, 16_000) for u in noise])
    assert torch.allclose(features.mean(0), torch.zeros(560), atol=1e-3)
    assert torch.allclose(features.std(0), torch.ones(560), atol=1e-3)


def test_hiding_leaves_the_original() -> None:
    features = torch.ones(20, 560)
    hidden = hide_parts(features, random.Random(3))
    assert bool((features == 1).all())
    assert bool((hidden == 0).any())


def test_greedy_reading_drops_blanks_and_repeats() -> None:
    rows = [LETTERS.index(c) for c in "tt\x00wo\x00o"]
    assert greedy_letters(torch.eye(len(LETTERS))[rows]) == "twoo"


def test_another_throat_moves_the_bins_and_keeps_the_rows() -> None:
    features = torch.zeros(3, 560)
    features.view(3, 7, 80)[..., 40] = 1.0
    moved = {int(warped(features, random.Random(i)).view(3, 7, 80)[0, 0].argmax()) for i in range(30)}
    assert 40 in moved
    assert min(moved) in range(34, 40)
    assert max(moved) in range(41, 47)
