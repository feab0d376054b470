"""The vocoder: mel frames to sound through a harmonic source and an inverse STFT (published twin: HiFT)."""

import math
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LAST_SLOPE = 0.01  # of the leaky ReLU before the last convolution
LOUDEST_MAGNITUDE = 100.0


@dataclass(frozen=True)
class F0PredictorConfig:
    in_channels: int = 80
    cond_channels: int = 512


@dataclass(frozen=True)
class VocoderConfig:
    """Field names and defaults of the published `config.yaml`."""

    in_channels: int = 80
    base_channels: int = 512
    nb_harmonics: int = 8
    sampling_rate: int = 22050
    nsf_alpha: float = 0.1
    nsf_sigma: float = 0.003
    nsf_voiced_threshold: float = 10
    upsample_rates: tuple[int, ...] = (8, 8)
    upsample_kernel_sizes: tuple[int, ...] = (16, 16)
    n_fft: int = 16
    hop_len: int = 4
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    source_resblock_kernel_sizes: tuple[int, ...] = (7, 11)
    source_resblock_dilation_sizes: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5))
    lrelu_slope: float = 0.1
    audio_limit: float = 0.99
    f0_predictor: F0PredictorConfig = field(default_factory=F0PredictorConfig)

    @property
    def hop_samples(self) -> int:
        """Samples a mel frame stands for."""
        return math.prod(self.upsample_rates) * self.hop_len


class _Normed(nn.Module):
    """Weights kept as direction and length, as the published checkpoint has them."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight_v = nn.Parameter(weight)
        self.weight_g = nn.Parameter(weight.norm(dim=(1, 2), keepdim=True))
        self.bias = nn.Parameter(bias)

    @property
    def weight(self) -> Tensor:
        length: Tensor = self.weight_v.norm(dim=(1, 2), keepdim=True)
        return self.weight_v * (self.weight_g / length)


class NormedConv(_Normed):
    """Keeps the number of frames."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, dilation: int = 1) -> None:
        plain = nn.Conv1d(channels_in, channels_out, kernel)
        assert plain.bias is not None
        super().__init__(plain.weight.detach(), plain.bias.detach())
        self.dilation, self.padding = dilation, (kernel - 1) * dilation // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.weight, self.bias, padding=self.padding, dilation=self.dilation)


class NormedUpsample(_Normed):
    """`rate` times as many frames."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, rate: int) -> None:
        plain = nn.ConvTranspose1d(channels_in, channels_out, kernel)
        assert plain.bias is not None
        super().__init__(plain.weight.detach(), plain.bias.detach())
        self.rate, self.padding = rate, (kernel - rate) // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv_transpose1d(x, self.weight, self.bias, stride=self.rate, padding=self.padding)


class Snake(nn.Module):
    """x + sin²(αx) / α, one α a channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.alpha[None, :, None]
        return x + torch.sin(x * alpha).pow(2) / (alpha + 1e-9)


class ResBlock(nn.Module):
    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(NormedConv(channels, channels, kernel, dilation) for dilation in dilations)
        self.convs2 = nn.ModuleList(NormedConv(channels, channels, kernel) for _ in dilations)
        self.activations1 = nn.ModuleList(Snake(channels) for _ in dilations)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for snake1, conv1, snake2, conv2 in zip(
            self.activations1, self.convs1, self.activations2, self.convs2, strict=True
        ):
            x = x + conv2(snake2(conv1(snake1(x))))
        return x


class F0Predictor(nn.Module):
    def __init__(self, config: F0PredictorConfig) -> None:
        super().__init__()
        widths = [config.in_channels, *[config.cond_channels] * 5]
        parts: list[nn.Module] = []
        for before, after in pairwise(widths):
            parts += [NormedConv(before, after, 3), nn.ELU()]
        self.condnet = nn.Sequential(*parts)
        self.classifier = nn.Linear(config.cond_channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """(batch, mels, frames) -> (batch, frames), Hz."""
        pitch: Tensor = self.classifier(self.condnet(mel).transpose(1, 2)).squeeze(-1)
        return pitch.abs()


@dataclass(frozen=True)
class SourceNoise:
    """phase: (batch, harmonics, 1), where each harmonic begins, radians. noise: (batch, harmonics, samples), normal."""

    phase: Tensor
    noise: Tensor


class HarmonicSource(nn.Module):
    """The excitation: a sine at the pitch, its harmonics, and noise."""

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.config = config
        self.l_linear = nn.Linear(config.nb_harmonics + 1, 1)

    def forward(self, pitch: Tensor, drawn: SourceNoise) -> Tensor:
        """pitch: (batch, samples), Hz -> (batch, 1, samples)."""
        config = self.config
        numbers = torch.arange(1, config.nb_harmonics + 2, device=pitch.device)[None, :, None]
        turns = torch.cumsum(pitch[:, None] * numbers / config.sampling_rate, -1) % 1
        phase = drawn.phase.clone()
        phase[:, 0] = 0
        sines = config.nsf_alpha * torch.sin(2 * math.pi * turns + phase)
        voiced = (pitch[:, None] > config.nsf_voiced_threshold).to(pitch)
        loudness = voiced * config.nsf_sigma + (1 - voiced) * config.nsf_alpha / 3
        waves = sines * voiced + loudness * drawn.noise
        return torch.tanh(self.l_linear(waves.transpose(1, 2))).transpose(1, 2)


class Vocoder(nn.Module):
    def __init__(self, config: VocoderConfig = VocoderConfig()) -> None:
        super().__init__()
        self.config = config
        widths = [config.base_channels // 2**i for i in range(len(config.upsample_rates) + 1)]
        spectrum = config.n_fft + 2  # real and imaginary parts, later magnitudes and phases
        self.m_source = HarmonicSource(config)
        self.f0_predictor = F0Predictor(config.f0_predictor)
        self.conv_pre = NormedConv(config.in_channels, widths[0], 7)
        self.ups = nn.ModuleList(
            NormedUpsample(before, after, kernel, rate)
            for before, after, kernel, rate in zip(
                widths, widths[1:], config.upsample_kernel_sizes, config.upsample_rates, strict=False
            )
        )
        # How many frames of the source's spectrum come on one frame at each resolution.
        rates = [math.prod(config.upsample_rates[i + 1 :]) for i in range(len(config.upsample_rates))]
        self.source_downs = nn.ModuleList(
            _source_down(spectrum, width, rate) for width, rate in zip(widths[1:], rates, strict=True)
        )
        self.source_resblocks = nn.ModuleList(
            ResBlock(width, kernel, dilations)
            for width, kernel, dilations in zip(
                widths[1:], config.source_resblock_kernel_sizes, config.source_resblock_dilation_sizes, strict=True
            )
        )
        self.resblocks = nn.ModuleList(
            ResBlock(width, kernel, dilations)
            for width in widths[1:]
            for kernel, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
        )
        self.conv_post = NormedConv(widths[-1], spectrum, 7)

    def source(self, pitch: Tensor, drawn: SourceNoise) -> Tensor:
        """pitch: (batch, frames), Hz -> excitation (batch, 1, samples)."""
        excitation: Tensor = self.m_source(pitch.repeat_interleave(self.config.hop_samples, -1), drawn)
        return excitation

    def forward(self, mel: Tensor, excitation: Tensor) -> Tensor:
        """mel: (batch, mels, frames), excitation: (batch, 1, samples) -> (batch, samples) in [-1, 1]."""
        config = self.config
        spectrum = self._spectrum(excitation[:, 0])
        x = self.conv_pre(mel)
        kernels = len(config.resblock_kernel_sizes)
        for i, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, config.lrelu_slope))
            if i == len(self.ups) - 1:
                x = F.pad(x, (1, 0), mode="reflect")  # an STFT has one frame more than its hops
            x = x + self.source_resblocks[i](self.source_downs[i](spectrum))
            blocks = [self.resblocks[i * kernels + j](x) for j in range(kernels)]
            x = torch.stack(blocks).sum(0) / kernels
        x = self.conv_post(F.leaky_relu(x, LAST_SLOPE))
        magnitude, phase = x.split(config.n_fft // 2 + 1, 1)
        wave = self._wave(magnitude.exp().clamp(max=LOUDEST_MAGNITUDE), torch.sin(phase))
        return wave.clamp(-config.audio_limit, config.audio_limit)

    def _spectrum(self, samples: Tensor) -> Tensor:
        """(batch, samples) -> (batch, n_fft + 2, frames), real parts above imaginary ones."""
        window = torch.hann_window(self.config.n_fft, device=samples.device)
        found = torch.stft(samples, self.config.n_fft, self.config.hop_len, window=window, return_complex=True)
        return torch.cat([found.real, found.imag], 1)

    def _wave(self, magnitude: Tensor, phase: Tensor) -> Tensor:
        window = torch.hann_window(self.config.n_fft, device=magnitude.device)
        spectrum = torch.complex(magnitude * torch.cos(phase), magnitude * torch.sin(phase))
        return torch.istft(spectrum, self.config.n_fft, self.config.hop_len, window=window)


def _source_down(channels_in: int, channels_out: int, rate: int) -> nn.Conv1d:
    if rate == 1:
        return nn.Conv1d(channels_in, channels_out, 1)
    return nn.Conv1d(channels_in, channels_out, 2 * rate, stride=rate, padding=rate // 2)
