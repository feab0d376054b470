"""The small vocoder: frames to sound by two filters, on pulses at the pitch and on noise (no published twin).

The network says for each frame and frequency how loud, and with which phase, the pulses pass, and how loud the noise;
an inverse STFT puts the frames together. Nothing runs at the rate of samples but pulses and transforms.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from runtime.models.speech_codec import FrameConv, blocks

HIGHEST_HARMONIC_HZ = 11_000.0
LOWEST_PITCH_HZ = 40.0
QUIETER = 2.0  # log gains are so much lower than what the network says, which begins around 0
LOUDEST = 5.0


@dataclass(frozen=True)
class HarmonicVocoderConfig:
    mels: int = 80
    width: int = 256
    dilations: tuple[int, ...] = (1, 2, 1, 2, 1)
    sample_rate_hz: int = 24_000
    hop_samples: int = 240
    window_samples: int = 960

    @property
    def bins(self) -> int:
        return self.window_samples // 2 + 1

    @property
    def frames_ahead(self) -> int:
        """How many frames behind it the sound of a frame may depend on: the network, the pitch, the windows."""
        return 1 + sum(self.dilations) + 1 + self.window_samples // self.hop_samples


@dataclass(frozen=True)
class Filters:
    """(batch, frames, bins) each: log gain and phase (radians) of the pulses, log gain of the noise."""

    pulse_gain: Tensor
    pulse_phase: Tensor
    noise_gain: Tensor

    def applied(self, pulses: Tensor, noise: Tensor) -> Tensor:
        """pulses, noise: spectra, (batch, frames, bins) complex -> the spectrum of the sound."""
        return pulses * torch.polar(self.pulse_gain.exp(), self.pulse_phase) + noise * self.noise_gain.exp()


class HarmonicVocoder(nn.Module):
    """Frames are those of `SpeechCodec`: (batch, frames, mels + 2)."""

    mean: Tensor
    spread: Tensor

    def __init__(self, config: HarmonicVocoderConfig = HarmonicVocoderConfig()) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.mels + 2))
        self.register_buffer("spread", torch.ones(config.mels + 2))
        self.enter = FrameConv(config.mels + 2, config.width)
        self.blocks = blocks(config.width, config.dilations)
        self.norm = nn.LayerNorm(config.width)
        self.leave = nn.Linear(config.width, 3 * config.bins)

    def filters(self, frames: Tensor) -> Filters:
        """The last value of a frame is 1 where there is a voice, else 0."""
        x = self.norm(self.blocks(self.enter((frames - self.mean) / self.spread)))
        pulse, phase, noise = self.leave(x).float().split(self.config.bins, -1)
        pulse, noise = ((part - QUIETER).clamp(max=LOUDEST) for part in (pulse, noise))
        return Filters(pulse, math.pi * torch.tanh(phase), noise)

    def forward(self, frames: Tensor, noise: Tensor) -> Tensor:
        """noise: (batch, frames, bins) complex, of mean power 1 -> (batch, frames * hop_samples) samples."""
        config = self.config
        pitch = torch.where(frames[..., -1] > 0.5, frames[..., -2].exp(), 0)
        excited = pulses(pitch, config.hop_samples, config.sample_rate_hz)
        spectrum = self.filters(frames).applied(self.spectrum(excited) / config.hop_samples, noise)
        last = torch.cat([spectrum, spectrum[:, -1:]], 1).transpose(1, 2)  # an STFT has one frame more than its hops
        return torch.istft(
            last, config.window_samples, config.hop_samples, window=self._window(frames), length=excited.shape[-1]
        )

    def spectrum(self, samples: Tensor) -> Tensor:
        """(batch, frames * hop_samples) -> (batch, frames, bins) complex, a frame around the start of each hop."""
        config = self.config
        found = torch.stft(
            samples, config.window_samples, config.hop_samples, window=self._window(samples), pad_mode="constant",
            return_complex=True,
        )  # fmt: skip
        return found.transpose(1, 2)[:, : samples.shape[-1] // config.hop_samples]

    def _window(self, like: Tensor) -> Tensor:
        return torch.hann_window(self.config.window_samples, device=like.device)


def pulses(pitch: Tensor, hop_samples: int, sample_rate_hz: int) -> Tensor:
    """(batch, frames) Hz, 0 without a voice -> (batch, frames * hop_samples): all harmonics at amplitude 1.

    They are summed in closed form: cos t + … + cos nt = (sin((n + 1/2) t) / sin(t / 2) - 1) / 2.
    """
    hz = F.interpolate(pitch[:, None].float(), scale_factor=hop_samples, mode="linear")[:, 0]
    voiced, hz = hz > LOWEST_PITCH_HZ, hz.clamp(min=LOWEST_PITCH_HZ)
    turns = torch.cumsum(hz.double(), -1) / sample_rate_hz % 1
    half = (math.pi * turns).float()  # half the angle
    count = (HIGHEST_HARMONIC_HZ / hz).floor()
    low = half.sin()
    near_zero = low.abs() < 1e-3
    summed = ((2 * count + 1) * half).sin() / torch.where(near_zero, 1, low)
    summed = torch.where(near_zero, 2 * count + 1, summed)
    return torch.where(voiced, (summed - 1) / 2, 0)
