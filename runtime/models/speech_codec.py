"""The small speech codec: frames of sound to codes and back (the embedded model's; it has no published twin).

Convolutions at two rates: 100 frames and 25 codes a second. A code is five numbers of four levels each, so that no
codebook has to be learned or can collapse.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class SpeechCodecConfig:
    """mels: of a frame. levels: of each number of a code. frames_per_code: how many frames a code stands for.

    The widths and dilations are those of the residual blocks, one block a dilation. contrast: how much deeper the
    valleys between the formants are than they were decoded; 1 leaves them.
    """

    mels: int = 80
    levels: tuple[int, ...] = (4, 4, 4, 4, 4)
    frames_per_code: int = 4
    frame_width: int = 192
    code_width: int = 256
    hearing_frame_dilations: tuple[int, ...] = (1, 1)
    hearing_code_dilations: tuple[int, ...] = (1, 1, 1, 1)
    saying_code_dilations: tuple[int, ...] = (1, 1, 1, 1)
    saying_frame_dilations: tuple[int, ...] = (1, 2, 1, 3)
    contrast: float = 1.0

    @property
    def num_codes(self) -> int:
        return math.prod(self.levels)

    @property
    def frame_values(self) -> int:
        """Log mel energies, the log of the pitch, and whether there is a voice."""
        return self.mels + 2

    @property
    def frames_ahead(self) -> int:
        """How many frames behind it what a frame sounds like may depend on."""
        return sum(self.saying_frame_dilations) + self.frames_per_code * (sum(self.saying_code_dilations) + 1)


class FrameConv(nn.Module):
    """A convolution over three rows, `dilation` apart: (batch, rows, width_in) -> (batch, rows, width_out)."""

    def __init__(self, width_in: int, width_out: int, dilation: int = 1) -> None:
        super().__init__()
        self.dilation = dilation
        self.linear = nn.Linear(3 * width_in, width_out)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.shape[1]
        padded = F.pad(x, (0, 0, self.dilation, self.dilation))
        seen = [padded[:, start : start + rows] for start in (0, self.dilation, 2 * self.dilation)]
        out: Tensor = self.linear(torch.cat(seen, -1))
        return out


class FrameBlock(nn.Module):
    def __init__(self, width: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = FrameConv(width, width, dilation)
        self.linear = nn.Linear(width, width)
        self.gain = nn.Parameter(torch.full((width,), 0.3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.gain * self.linear(F.silu(self.conv(self.norm(x))))
        return out


def blocks(width: int, dilations: tuple[int, ...]) -> nn.Sequential:
    return nn.Sequential(*[FrameBlock(width, dilation) for dilation in dilations])


class Levels(nn.Module):
    """Numbers rounded to a few levels each, and their one number together (finite scalar quantisation)."""

    sizes: Tensor
    places: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        sizes = torch.tensor(levels)
        self.register_buffer("sizes", sizes, persistent=False)
        self.register_buffer("places", torch.cumprod(torch.cat([sizes[1:], torch.ones(1).long()]).flip(0), 0).flip(0),
                             persistent=False)  # fmt: skip

    def digits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(…, n) any numbers -> levels from 0, and the same before rounding, both (…, n)."""
        top = self.sizes - 1
        # A tenth of a level of room at either end, so that the outer levels are reached without saturating.
        exact = torch.tanh(x.float()) * (top / 2 + 0.1) + top / 2
        return torch.minimum(exact.round().clamp(min=0), top), exact

    def quantized(self, x: Tensor) -> Tensor:
        """The levels as numbers in [-1, 1]; gradients pass as if nothing had been rounded."""
        levels, exact = self.digits(x)
        return self._centered(exact + (levels - exact).detach())

    def codes(self, x: Tensor) -> Tensor:
        """(…, n) -> (…,) int64."""
        return (self.digits(x)[0].long() * self.places).sum(-1)

    def numbers(self, codes: Tensor) -> Tensor:
        """(…,) codes -> (…, n) float32, as `quantized` gives them."""
        return self._centered((codes[..., None] // self.places % self.sizes).float())

    def _centered(self, levels: Tensor) -> Tensor:
        half = (self.sizes - 1) / 2
        return levels / half - 1


class SpeechCodec(nn.Module):
    """Frames are (batch, frames, mels + 2): log mel energies, log pitch in Hz, and 1 where there is a voice.

    What comes out has the same form, the voice as a score that is above 0 where there is one. Only the mel energies are
    listened to: a recording tells no pitch.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, config: SpeechCodecConfig = SpeechCodecConfig()) -> None:
        super().__init__()
        self.config = config
        narrow, wide = config.frame_width, config.code_width
        self.register_buffer("mean", torch.zeros(config.frame_values))
        self.register_buffer("spread", torch.ones(config.frame_values))
        self.levels = Levels(config.levels)
        self.hear_in = FrameConv(config.mels, narrow)
        self.hear_frames = blocks(narrow, config.hearing_frame_dilations)
        self.hear_down = nn.Linear(narrow * config.frames_per_code, wide)
        self.hear_codes = blocks(wide, config.hearing_code_dilations)
        self.hear_out = nn.Linear(wide, len(config.levels))
        self.say_in = nn.Linear(len(config.levels), wide)
        self.say_codes = blocks(wide, config.saying_code_dilations)
        self.say_up = nn.Linear(wide, narrow * config.frames_per_code)
        self.say_frames = blocks(narrow, config.saying_frame_dilations)
        self.say_out = nn.Linear(narrow, config.frame_values)

    def normalized(self, frames: Tensor) -> Tensor:
        return (frames - self.mean) / self.spread

    def heard(self, mel: Tensor) -> Tensor:
        """(batch, frames, mels) normalised log energies -> (batch, codes, levels) before rounding."""
        x = self.hear_frames(self.hear_in(mel))
        x = x.reshape(x.shape[0], x.shape[1] // self.config.frames_per_code, -1)
        out: Tensor = self.hear_out(self.hear_codes(self.hear_down(x)))
        return out

    def encode(self, mel: Tensor) -> Tensor:
        """(batch, frames, mels) log energies, frames a multiple of `frames_per_code` -> (batch, codes) int64."""
        count = self.config.mels
        return self.levels.codes(self.heard((mel - self.mean[:count]) / self.spread[:count]))

    def trunk(self, numbers: Tensor) -> Tensor:
        """(batch, codes, levels) quantised -> (batch, codes, code_width), what is said of each code."""
        out: Tensor = self.say_codes(self.say_in(numbers))
        return out

    def frames_of(self, trunk: Tensor) -> Tensor:
        """-> (batch, frames, mels + 2), normalised."""
        x = self.say_up(trunk).reshape(trunk.shape[0], trunk.shape[1] * self.config.frames_per_code, -1)
        out: Tensor = self.say_out(self.say_frames(x))
        return out

    def decode(self, codes: Tensor) -> Tensor:
        """(batch, codes) int64 -> (batch, frames, mels + 2)."""
        frames = self.frames_of(self.trunk(self.levels.numbers(codes))) * self.spread + self.mean
        mels = self.config.mels
        return torch.cat([deepened(frames[..., :mels], self.config.contrast), frames[..., mels:]], -1)


def deepened(mel: Tensor, contrast: float) -> Tensor:
    """(…, mels) log energies, each spectrum `contrast` times as far from its level and tilt.

    A decoded spectrum is the mean of all that share its codes, and flatter than a voice's; this is the formant
    postfilter of parametric synthesis, on all cepstral coefficients but the first two.
    """
    tilt = ((torch.arange(mel.shape[-1], device=mel.device) + 0.5) * math.pi / mel.shape[-1]).cos()
    tilt = tilt / tilt.norm()
    # Sums for each frame, not a product of matrices: a frame is the same whichever others are decoded with it.
    even: Tensor = mel.mean(-1, keepdim=True) + (mel * tilt).sum(-1, keepdim=True) * tilt
    return even + contrast * (mel - even)
