import math
from dataclasses import replace

import pytest
import torch

from runtime.models.vocoder import HarmonicSource, NormedConv, Snake, SourceNoise, Vocoder, VocoderConfig
from tests.support.tiny_voice import MELS, VOCODER


def silent(samples: int, harmonics: int = 9) -> SourceNoise:
    return SourceNoise(torch.zeros(1, harmonics, 1), torch.zeros(1, harmonics, samples))


@torch.inference_mode()
def test_a_mel_frame_becomes_256_samples() -> None:
    torch.manual_seed(0)
    vocoder = Vocoder(VOCODER).eval()
    mel = torch.randn(1, MELS, 7)
    pitch = vocoder.f0_predictor(mel)
    assert pitch.shape == (1, 7)
    assert bool((pitch >= 0).all())
    wave = vocoder(mel, vocoder.source(pitch, silent(7 * 256)))
    assert wave.shape == (1, 7 * 256)
    assert float(wave.abs().max()) <= VOCODER.audio_limit


@torch.inference_mode()
def test_the_source_sings_the_pitch() -> None:
    source = HarmonicSource(replace(VocoderConfig(), nb_harmonics=0))
    source.l_linear.weight.fill_(1.0)
    source.l_linear.bias.zero_()
    hum = source(torch.full((1, 22050), 441.0), silent(22050, harmonics=1))[0, 0]
    spectrum = torch.fft.rfft(hum).abs()
    assert int(spectrum.argmax()) == 441
    assert float(hum.abs().max()) == pytest.approx(math.tanh(0.1), abs=1e-3)


@torch.inference_mode()
def test_below_the_threshold_there_is_only_noise() -> None:
    source = HarmonicSource(VocoderConfig())
    quiet = source(torch.full((1, 500), 5.0), silent(500))
    torch.testing.assert_close(quiet, torch.tanh(source.l_linear.bias).expand_as(quiet))


def test_a_weight_is_its_direction_at_its_length() -> None:
    conv = NormedConv(3, 4, 5)
    before = conv.weight.clone()
    with torch.no_grad():
        conv.weight_v *= 7
        torch.testing.assert_close(conv.weight, before)
        conv.weight_g *= 2
        torch.testing.assert_close(conv.weight, 2 * before)
    assert set(conv.state_dict()) == {"weight_v", "weight_g", "bias"}


def test_a_snake_is_a_line_with_waves() -> None:
    x = torch.linspace(-3, 3, 50)[None, None]
    torch.testing.assert_close(Snake(1)(x), x + torch.sin(x) ** 2)
