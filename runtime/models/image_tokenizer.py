"""The image tokenizer: a convolutional autoencoder with a sign quantiser (LFQ; published twin: MAGVIT-v2).

A picture becomes a grid of codes; a code is the row of signs of the latent channels, most significant bit first.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class StageConfig:
    """One half of the autoencoder. Index 0 of the tuples is the finest resolution.

    patch_size: side of the pixel square folded into channels before the first (after the last) convolution;
    1 is the published model, more makes the same network cheap enough for a processor.
    """

    ch: int
    ch_mult: tuple[int, ...]
    num_res_blocks: tuple[int, ...]
    patch_size: int = 1


@dataclass(frozen=True)
class ImageTokenizerConfig:
    encoder: StageConfig
    decoder: StageConfig
    codebook_dim: int = 13

    @property
    def downsampling(self) -> int:
        """Pixels a code spans on a side."""
        return int(self.encoder.patch_size * 2 ** (len(self.encoder.ch_mult) - 1))

    @property
    def num_codes(self) -> int:
        return int(2**self.codebook_dim)


def norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)


def conv(channels_in: int, channels_out: int, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding)


class ResBlock(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.norm1 = norm(channels_in)
        self.conv1 = conv(channels_in, channels_out)
        self.norm2 = norm(channels_out)
        self.conv2 = conv(channels_out, channels_out)
        if channels_in != channels_out:
            self.nin_shortcut = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h: Tensor = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        if hasattr(self, "nin_shortcut"):
            x = self.nin_shortcut(x)
        return x + h


class AttentionBlock(nn.Module):
    """Single-head attention over all cells."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        q, k, v = (part(h).flatten(2).transpose(1, 2).unsqueeze(1) for part in (self.q, self.k, self.v))
        mixed = F.scaled_dot_product_attention(q, k, v).squeeze(1).transpose(1, 2).reshape(x.shape)
        out: Tensor = x + self.proj_out(mixed)
        return out


class Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = ResBlock(channels, channels)
        self.attn_1 = AttentionBlock(channels)
        self.block_2 = ResBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block_2(self.attn_1(self.block_1(x)))
        return out


class Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv(channels, channels, stride=2, padding=0)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, (0, 1, 0, 1)))
        return out


class Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out


class Level(nn.Module):
    """Residual blocks at one resolution, and the change to the next."""

    def __init__(self, channels_in: int, channels_out: int, num_blocks: int) -> None:
        super().__init__()
        self.block = nn.ModuleList(
            ResBlock(channels_in if i == 0 else channels_out, channels_out) for i in range(num_blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        return x


class ImageEncoder(nn.Module):
    def __init__(self, config: StageConfig, codebook_dim: int) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        widths = [config.ch * mult for mult in config.ch_mult]
        self.conv_in = conv(3 * config.patch_size**2, config.ch)
        self.down = nn.ModuleList()
        for i, (before, width) in enumerate(zip([config.ch, *widths], widths, strict=False)):
            level = Level(before, width, config.num_res_blocks[i])
            if i < len(widths) - 1:
                level.downsample = Downsample(width)
            self.down.append(level)
        self.mid = Middle(widths[-1])
        self.norm_out = norm(widths[-1])
        self.conv_out = conv(widths[-1], codebook_dim)
        self.quant_conv = nn.Conv2d(codebook_dim, codebook_dim, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.conv_in(F.pixel_unshuffle(pixels, self.patch_size))
        for level in self.down:
            x = level(x)
            if hasattr(level, "downsample"):
                x = level.get_submodule("downsample")(x)
        x = self.conv_out(F.silu(self.norm_out(self.mid(x))))
        out: Tensor = self.quant_conv(x)
        return out


class ImageDecoder(nn.Module):
    def __init__(self, config: StageConfig, codebook_dim: int) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        widths = [config.ch * mult for mult in config.ch_mult]
        self.post_quant_conv = nn.Conv2d(codebook_dim, codebook_dim, 1)
        self.conv_in = conv(codebook_dim, widths[-1])
        self.mid = Middle(widths[-1])
        levels = []
        before = widths[-1]
        for i in reversed(range(len(widths))):
            level = Level(before, widths[i], config.num_res_blocks[i])
            before = widths[i]
            if i > 0:
                level.upsample = Upsample(before)
            levels.append(level)
        self.up = nn.ModuleList(reversed(levels))
        self.norm_out = norm(before)
        self.conv_out = conv(before, 3 * config.patch_size**2)

    def forward(self, signs: Tensor) -> Tensor:
        x = self.mid(self.conv_in(self.post_quant_conv(signs)))
        for level in reversed(self.up):
            x = level(x)
            if hasattr(level, "upsample"):
                x = level.get_submodule("upsample")(x)
        x = self.conv_out(F.silu(self.norm_out(x)))
        return F.pixel_shuffle(x, self.patch_size)


class SignQuantizer(nn.Module):
    """The table of all codes, kept as buffers because the published checkpoint holds them."""

    embedding: Tensor
    power_vals: Tensor

    def __init__(self, codebook_dim: int) -> None:
        super().__init__()
        powers = 2 ** torch.arange(codebook_dim - 1, -1, -1)
        self.register_buffer("power_vals", powers)
        bits = (torch.arange(2**codebook_dim)[:, None] // powers) % 2
        self.register_buffer("embedding", bits.float() * 2 - 1)


class ImageTokenizer(nn.Module):
    computed_buffers = ("quantize.embedding", "quantize.power_vals")  # a file may hold them, the published one does

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ImageEncoder(config.encoder, config.codebook_dim)
        self.decoder = ImageDecoder(config.decoder, config.codebook_dim)
        self.quantize = SignQuantizer(config.codebook_dim)

    def encode(self, pixels: Tensor) -> Tensor:
        """(batch, 3, height, width) in [-1, 1] -> codes (batch, rows, columns), int64."""
        latent: Tensor = self.encoder(pixels)
        bits = (latent > 0).long()
        return (bits * self.quantize.power_vals[:, None, None]).sum(1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (batch, rows, columns) -> pixels (batch, 3, height, width), about [-1, 1]."""
        decoded: Tensor = self.decoder(self.quantize.embedding[codes].permute(0, 3, 1, 2).contiguous())
        return decoded
