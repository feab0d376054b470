import math

import pytest
import torch

from runtime.training.voice_frames import SILENCE, Alphabet, frames_of, normalisation, pitch_of
from tests.support.sentences import sung


def test_phonemes_stand_at_the_frames_they_are_said_in() -> None:
    sentence = sung("ab a")
    alphabet = Alphabet.of([sentence])
    assert alphabet.letters == SILENCE + " ab"
    labels = alphabet.labels(sentence, 60)
    assert labels.tolist() == [0] * 10 + [2] * 10 + [3] * 10 + [1] * 10 + [2] * 10 + [0] * 10


def test_pitch_is_led_on_through_silence() -> None:
    pitch, voiced = pitch_of(sung("ab", hz=220), 40)
    assert torch.allclose(pitch, torch.full((40,), math.log(220)))
    assert voiced.tolist()[5:] == [0.0] * 6 + [1.0] * 19 + [0.0] * 10 or voiced[15] == 1
    assert voiced[2] == 0


def test_frames_are_whole_codes_and_hold_energy_pitch_and_voice() -> None:
    sentence = sung("abc")
    frames = frames_of(sentence, Alphabet.of([sentence]))
    assert frames.values.shape == (48, 82)
    assert len(frames.phonemes) == 48
    assert float(frames.values[25, :80].max()) > float(frames.values[2, :80].max())


def test_the_voice_is_left_as_it_is() -> None:
    sentence = sung("abc")
    mean, spread = normalisation(
        [frames_of(sentence, Alphabet.of([sentence])), frames_of(sung("ab", 150), Alphabet("#ab"))]
    )
    assert (mean[-1], spread[-1]) == (0, 1)
    assert math.log(150) < float(mean[-2]) < math.log(200)
    assert float(spread[-2]) == pytest.approx(0.14, abs=0.05)
