import random

import torch

from runtime.models.harmonic_vocoder import HarmonicVocoder, HarmonicVocoderConfig
from runtime.training.harmonic_vocoder import BATCH, FRAMES, drawn, losses_of, spectra_of, stacked
from runtime.training.voice_frames import Alphabet, frames_of
from tests.support.sentences import sung

SENTENCE = sung("a long sentence")


def test_a_few_steps_learn_a_tone() -> None:
    torch.manual_seed(0)
    vocoder = HarmonicVocoder(HarmonicVocoderConfig(width=16))
    values = frames_of(SENTENCE, Alphabet.of([SENTENCE])).values
    spectra = spectra_of(SENTENCE, values, vocoder)
    optimizer = torch.optim.AdamW(vocoder.parameters(), lr=1e-2)
    batch = stacked(drawn([spectra], random.Random(0))[:2])
    history = []
    for _ in range(8):
        losses = losses_of(vocoder, *batch)
        history.append(float(losses["log_magnitude"].detach()))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    assert history[-1] < 0.9 * history[0]


def test_sound_and_pulses_are_told_frame_by_frame() -> None:
    vocoder = HarmonicVocoder(HarmonicVocoderConfig(width=16))
    values = frames_of(SENTENCE, Alphabet.of([SENTENCE])).values
    parts = drawn([spectra_of(SENTENCE, values, vocoder)], random.Random(0))
    assert len(parts) == BATCH
    values, sound, pulses = stacked(parts)
    assert values.shape == (BATCH, FRAMES, 82)
    assert sound.shape == pulses.shape == (BATCH, FRAMES, vocoder.config.bins)
    assert sound.is_complex()
    # The tone is the first harmonic of its pulses, 8 bins of 25 Hz up.
    assert int(sound[0, 50].abs().argmax()) == 8
