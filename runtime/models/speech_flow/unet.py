"""The velocity estimator of the flow: a one-dimensional U-Net of residual blocks and transformers over mel frames."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NORM_GROUPS = 8
TIME_SCALE = 1000  # the flow's time, 0 … 1, is encoded as if it were this long


@dataclass(frozen=True)
class UNetConfig:
    """Field names and defaults of the published `config.yaml`."""

    in_channels: int = 320
    out_channels: int = 80
    channels: tuple[int, ...] = (256, 256)
    attention_head_dim: int = 64
    n_blocks: int = 4
    num_mid_blocks: int = 12
    num_heads: int = 8


class ConvBlock(nn.Module):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv1d(channels_in, channels_out, 3, padding=1), nn.GroupNorm(NORM_GROUPS, channels_out), nn.Mish()
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x)
        return out


class ResBlock(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, time_dim: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(time_dim, channels_out))
        self.block1 = ConvBlock(channels_in, channels_out)
        self.block2 = ConvBlock(channels_out, channels_out)
        self.res_conv = nn.Conv1d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.block2(self.block1(x) + self.mlp(time)[..., None])
        out: Tensor = h + self.res_conv(x)
        return out


class SelfAttention(nn.Module):
    def __init__(self, dim: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        inner = num_heads * head_dim
        self.num_heads = num_heads
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_k = nn.Linear(dim, inner, bias=False)
        self.to_v = nn.Linear(dim, inner, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(inner, dim)])

    def forward(self, x: Tensor) -> Tensor:
        batch, frames, _ = x.shape

        def heads(projected: Tensor) -> Tensor:
            return projected.view(batch, frames, self.num_heads, -1).transpose(1, 2)

        mixed = F.scaled_dot_product_attention(heads(self.to_q(x)), heads(self.to_k(x)), heads(self.to_v(x)))
        out: Tensor = self.to_out[0](mixed.transpose(1, 2).reshape(batch, frames, -1))
        return out


class Projected(nn.Module):
    """A projection and its GELU; the published nesting `ff.net.0.proj`."""

    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(dim_in, dim_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x))


class FeedForward(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(Projected(dim, 4 * dim), nn.Identity(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class TransformerBlock(nn.Module):
    def __init__(self, dim: int, config: UNetConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn1 = SelfAttention(dim, config.num_heads, config.attention_head_dim)
        self.norm3 = nn.LayerNorm(dim)
        self.ff = FeedForward(dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        fed: Tensor = self.ff(self.norm3(x))
        return x + fed


class Downsample(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(dim, dim, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class Upsample(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose1d(dim, dim, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out


class TimeEmbedding(nn.Module):
    def __init__(self, dim_in: int, dim_out: int) -> None:
        super().__init__()
        self.dim_in = dim_in
        self.linear_1 = nn.Linear(dim_in, dim_out)
        self.linear_2 = nn.Linear(dim_out, dim_out)

    def forward(self, time: Tensor) -> Tensor:
        """(batch,) times in 0 … 1 -> (batch, dim_out)."""
        half = self.dim_in // 2
        rates = torch.exp(torch.arange(half, device=time.device).float() * -(math.log(10000) / (half - 1)))
        angles = TIME_SCALE * time[:, None] * rates
        encoded = torch.cat([angles.sin(), angles.cos()], -1).to(self.linear_1.weight.dtype)
        out: Tensor = self.linear_2(F.silu(self.linear_1(encoded)))
        return out


class Stage(nn.ModuleList):
    """A residual block, transformers, and in the third place the change of resolution behind them, if there is one."""

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(batch, channels, frames) -> the same at its own width, before any change of resolution."""
        x = self[0](x, time).transpose(1, 2)
        for block in self[1]:  # type: ignore[attr-defined]
            x = block(x)
        return x.transpose(1, 2)


class UNet(nn.Module):
    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        widths = list(config.channels)
        time_dim = 4 * widths[0]
        self.time_mlp = TimeEmbedding(config.in_channels, time_dim)

        def stage(before: int, dim: int, change: nn.Module | None = None) -> Stage:
            transformers = nn.ModuleList(TransformerBlock(dim, config) for _ in range(config.n_blocks))
            parts = [ResBlock(before, dim, time_dim), transformers]
            return Stage(parts if change is None else [*parts, change])

        def same(dim: int) -> nn.Module:
            return nn.Conv1d(dim, dim, 3, padding=1)

        last = len(widths) - 1
        self.down_blocks = nn.ModuleList(
            stage(before, dim, Downsample(dim) if i < last else same(dim))
            for i, (before, dim) in enumerate(zip([config.in_channels, *widths], widths, strict=False))
        )
        self.mid_blocks = nn.ModuleList(stage(widths[-1], widths[-1]) for _ in range(config.num_mid_blocks))
        upwards = [*reversed(widths), widths[0]]
        self.up_blocks = nn.ModuleList(
            stage(2 * before, dim, Upsample(dim) if i < last else same(dim))
            for i, (before, dim) in enumerate(pairwise(upwards))
        )
        self.final_block = ConvBlock(widths[0], widths[0])
        self.final_proj = nn.Conv1d(widths[0], config.out_channels, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """x: (batch, in_channels, frames), time: (batch,) -> velocity (batch, out_channels, frames)."""
        embedded = self.time_mlp(time)
        skipped = []
        for stage in self.down_blocks:
            x = stage(x, embedded)
            skipped.append(x)
            x = stage.get_submodule("2")(x)
        for stage in self.mid_blocks:
            x = stage(x, embedded)
        for stage in self.up_blocks:
            skip = skipped.pop()
            x = stage(torch.cat([x[:, :, : skip.shape[-1]], skip], 1), embedded)
            x = stage.get_submodule("2")(x)
        out: Tensor = self.final_proj(self.final_block(x))
        return out
