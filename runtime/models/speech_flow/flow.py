"""Codes to mel frames: the conformer says where to go, the estimator how, Euler steps lead there from noise."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from runtime.models.speech_flow.conformer import Conformer, ConformerConfig
from runtime.models.speech_flow.unet import UNet, UNetConfig

MEL_SAMPLE_RATE_HZ, MEL_HOP_SAMPLES = 22050, 256  # of the sound that mel frames stand for


@dataclass(frozen=True)
class FlowConfig:
    """Field names and defaults of the published `config.yaml`.

    input_frame_rate: codes a second. num_regulator_convs: convolutions after the codes are stretched to frames.
    inference_cfg_rate: guidance; the velocity is (1 + rate) * with the codes - rate * without.
    """

    input_size: int = 512
    output_size: int = 80
    spk_embed_dim: int = 192
    vocab_size: int = 16384
    input_frame_rate: float = 12.5
    num_regulator_convs: int = 4
    inference_cfg_rate: float = 0.7
    encoder: ConformerConfig = field(default_factory=ConformerConfig)
    estimator: UNetConfig = field(default_factory=UNetConfig)


class LengthRegulator(nn.Module):
    """Stretches rows to another number of frames and smooths them."""

    def __init__(self, channels: int, num_convs: int) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for _ in range(num_convs):
            parts += [nn.Conv1d(channels, channels, 3, padding=1), nn.GroupNorm(1, channels), nn.Mish()]
        self.model = nn.Sequential(*parts, nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(batch, channels, n) -> (batch, channels, frames)."""
        out: Tensor = self.model(F.interpolate(x, size=frames, mode="nearest"))
        return out


class Matching(nn.Module):
    """The published nesting of the estimator: `decoder.estimator.*`."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.estimator = UNet(config)


@dataclass(frozen=True)
class Prompt:
    """A voice to go on with: its codes (1, n), mel frames (1, frames, mels) and speaker embedding (1, dim)."""

    codes: Tensor
    mel: Tensor
    speaker: Tensor


@dataclass(frozen=True)
class Conditions:
    """What a velocity depends on: mu and the prompt's frames (1, mels, frames), the speaker (1, mels)."""

    mu: Tensor
    speaker: Tensor
    prompt: Tensor

    @property
    def none(self) -> "Conditions":
        """What guidance compares with."""
        return Conditions(*map(torch.zeros_like, (self.mu, self.speaker, self.prompt)))


class SpeechFlow(nn.Module):
    def __init__(self, config: FlowConfig = FlowConfig()) -> None:
        super().__init__()
        self.config = config
        self.input_embedding = nn.Embedding(config.vocab_size, config.input_size)
        self.spk_embed_affine_layer = nn.Linear(config.spk_embed_dim, config.output_size)
        self.encoder = Conformer(config.encoder)
        self.encoder_proj = nn.Linear(config.encoder.output_size, config.output_size)
        self.length_regulator = LengthRegulator(config.output_size, config.num_regulator_convs)
        self.decoder = Matching(config.estimator)

    def no_prompt(self) -> Prompt:
        """No voice given: no codes, no frames, the speaker of zeros that the published decoder always has."""
        weights = self.input_embedding.weight
        mel = weights.new_zeros(1, 0, self.config.output_size)
        codes = torch.zeros(1, 0, dtype=torch.long, device=weights.device)
        return Prompt(codes, mel, weights.new_zeros(1, self.config.spk_embed_dim))

    def num_frames(self, num_codes: int) -> int:
        """Mel frames of so many codes, in the published single precision."""
        codes = torch.tensor(num_codes, dtype=torch.int32)
        return int((codes / self.config.input_frame_rate * MEL_SAMPLE_RATE_HZ / MEL_HOP_SAMPLES).int())

    def encode(self, codes: Tensor) -> Tensor:
        """(1, n) codes, prompt first -> (1, n, size)."""
        encoded: Tensor = self.encoder(self.input_embedding(codes))
        return encoded

    def conditions(self, encoded: Tensor, prompt: Prompt) -> Conditions:
        """(1, n, size) of `encode` -> what the velocities depend on, over all frames, the prompt's first."""
        frames = self.num_frames(encoded.shape[1])
        mu = self.length_regulator(self.encoder_proj(encoded).transpose(1, 2), frames)
        known = torch.zeros_like(mu)
        known[:, :, : prompt.mel.shape[1]] = prompt.mel.transpose(1, 2)
        return Conditions(mu, self.spk_embed_affine_layer(F.normalize(prompt.speaker, dim=1)), known)

    def velocity(self, x: Tensor, time: Tensor, given: Conditions) -> Tensor:
        """x: (1, mels, frames), time: () -> (1, mels, frames)."""
        speaker = given.speaker[:, :, None].expand(-1, -1, x.shape[-1])
        out: Tensor = self.decoder.estimator(torch.cat([x, given.mu, speaker, given.prompt], 1), time.view(1))
        return out

    def forward(self, codes: Tensor, noise: Tensor, steps: int = 10, prompt: Prompt | None = None) -> Tensor:
        """Mel frames of the codes.

        codes: (1, n). noise: (1, mels, frames of prompt and codes). steps: of Euler -> (1, mels, frames of the codes).
        """
        prompt = prompt or self.no_prompt()
        given = self.conditions(self.encode(torch.cat([prompt.codes, codes], 1)), prompt)
        rate, x = self.config.inference_cfg_rate, noise
        time = torch.zeros((), device=noise.device)
        for stop in step_times(steps)[1:].to(noise.device):
            step = stop - time
            velocity = (1 + rate) * self.velocity(x, time, given) - rate * self.velocity(x, time, given.none)
            x, time = x + step * velocity, time + step
        return x[:, :, prompt.mel.shape[1] :]


def step_times(steps: int) -> Tensor:
    """Where the Euler steps begin and end, 0 … 1, small steps first: (steps + 1,)."""
    return 1 - torch.cos(torch.linspace(0, 1, steps + 1) * 0.5 * math.pi)
