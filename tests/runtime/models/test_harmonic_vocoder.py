import torch
from torch import Tensor

from runtime.models.harmonic_vocoder import HarmonicVocoder, HarmonicVocoderConfig, pulses

SMALL = HarmonicVocoderConfig(mels=8, width=16)


def frames_at(hz: float, count: int = 50) -> Tensor:
    frames = torch.zeros(1, count, SMALL.mels + 2)
    frames[..., -2], frames[..., -1] = torch.tensor(hz).log(), 1
    return frames


def test_pulses_are_the_sum_of_all_harmonics() -> None:
    rate, hz = 24_000, 217.3
    found = pulses(torch.full((1, 30), hz), 240, rate)[0]
    turns = torch.arange(1, len(found) + 1, dtype=torch.float64) * hz / rate
    wanted = sum(torch.cos(2 * torch.pi * turns * n) for n in range(1, 51))  # up to 11 kHz
    assert torch.allclose(found.double(), torch.as_tensor(wanted), atol=0.1)


def test_nothing_is_excited_without_a_voice() -> None:
    pitch = torch.cat([torch.zeros(1, 20), torch.full((1, 20), 150.0)], 1)
    found = pulses(pitch, 240, 24_000)[0]
    assert not bool(found[: 18 * 240].any())
    assert bool(found[22 * 240 :].any())


def test_the_sound_has_the_pitch_of_its_frames() -> None:
    torch.manual_seed(0)
    vocoder = HarmonicVocoder(SMALL).eval()
    with torch.no_grad():
        sound = vocoder(frames_at(200.0), torch.zeros(1, 50, SMALL.bins, dtype=torch.complex64))[0]
    assert sound.shape == (50 * 240,)
    spectrum = torch.fft.rfft(sound[2400:9600]).abs()
    hz = torch.arange(len(spectrum)) * 24_000 / 7200
    near = (hz % 200 < 7) | (hz % 200 > 193)
    assert float(spectrum[near].pow(2).sum()) > 50 * float(spectrum[~near].pow(2).sum())


def test_no_sound_depends_on_more_than_is_said_to_lie_ahead() -> None:
    torch.manual_seed(0)
    vocoder = HarmonicVocoder(SMALL).eval()
    frames = torch.randn(1, 60, SMALL.mels + 2)
    frames[..., -2:] = frames_at(180.0, 60)[..., -2:]
    later = frames.clone()
    later[:, 40:, :-2] += 1
    noise = torch.randn(1, 60, SMALL.bins, dtype=torch.complex64)
    with torch.no_grad():
        changed = (vocoder(frames, noise) != vocoder(later, noise))[0].nonzero()[:, 0]
    assert (40 - SMALL.frames_ahead) * SMALL.hop_samples <= int(changed[0]) < 40 * SMALL.hop_samples
