"""The encoder of the flow: a block-causal transformer with relative positions over speech codes."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class ConformerConfig:
    """Field names and defaults of the published `config.yaml`. block_size: codes that see each other."""

    input_size: int = 512
    output_size: int = 512
    attention_heads: int = 8
    linear_units: int = 2048
    num_blocks: int = 6
    block_size: int = 10


class RelativeAttention(nn.Module):
    """Scores are content plus distance, each with a learned bias on the query."""

    def __init__(self, size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = num_heads, size // num_heads
        self.linear_q = nn.Linear(size, size)
        self.linear_k = nn.Linear(size, size)
        self.linear_v = nn.Linear(size, size)
        self.linear_out = nn.Linear(size, size)
        self.linear_pos = nn.Linear(size, size, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(num_heads, self.head_dim))
        self.pos_bias_v = nn.Parameter(torch.zeros(num_heads, self.head_dim))

    def forward(self, x: Tensor, distances: Tensor, visible: Tensor) -> Tensor:
        """x: (batch, n, size). distances: (2n - 1, size), from n - 1 down to 1 - n. visible: (n, n) bool."""
        batch, length, size = x.shape

        def heads(projected: Tensor) -> Tensor:  # (…, heads, n, head_dim)
            return projected.view(*projected.shape[:-1], self.num_heads, self.head_dim).transpose(-2, -3)

        q, k, v = heads(self.linear_q(x)), heads(self.linear_k(x)), heads(self.linear_v(x))
        by_distance = (q + self.pos_bias_v[:, None]) @ heads(self.linear_pos(distances)).transpose(-1, -2)
        places = torch.arange(length, device=x.device)
        column = length - 1 - (places[:, None] - places)  # of the distance between query and key
        bias = by_distance.gather(-1, column.expand(*by_distance.shape[:-1], length)) / math.sqrt(self.head_dim)
        mixed = F.scaled_dot_product_attention(
            q + self.pos_bias_u[:, None], k, v, attn_mask=bias.masked_fill(~visible, -torch.inf)
        )
        out: Tensor = self.linear_out(mixed.transpose(1, 2).reshape(batch, length, size))
        return out


class FeedForward(nn.Module):
    def __init__(self, size: int, units: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(size, units)
        self.w_2 = nn.Linear(units, size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.w_2(F.silu(self.w_1(x)))
        return out


class Layer(nn.Module):
    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        size = config.output_size
        self.self_attn = RelativeAttention(size, config.attention_heads)
        self.feed_forward = FeedForward(size, config.linear_units)
        self.norm_mha = nn.LayerNorm(size)
        self.norm_ff = nn.LayerNorm(size)

    def forward(self, x: Tensor, distances: Tensor, visible: Tensor) -> Tensor:
        x = x + self.self_attn(self.norm_mha(x), distances, visible)
        fed: Tensor = self.feed_forward(self.norm_ff(x))
        return x + fed


class InputLayer(nn.Module):
    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.out = nn.Sequential(nn.Linear(config.input_size, config.output_size), nn.LayerNorm(config.output_size))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(x)
        return out


class Conformer(nn.Module):
    """Named as published, though the convolution of a conformer is switched off there."""

    def __init__(self, config: ConformerConfig) -> None:
        super().__init__()
        self.block_size = config.block_size
        self.scale = math.sqrt(config.output_size)
        self.embed = InputLayer(config)
        self.encoders = nn.ModuleList(Layer(config) for _ in range(config.num_blocks))
        self.after_norm = nn.LayerNorm(config.output_size)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, n, input size) -> (batch, n, output size)."""
        x = self.embed(x) * self.scale
        distances = distance_encoding(x.shape[1], x.shape[2]).to(x)
        places = torch.arange(x.shape[1], device=x.device)
        blocks = places // self.block_size
        visible = (places[None] <= places[:, None]) | (blocks[None] == blocks[:, None])
        for layer in self.encoders:
            x = layer(x, distances, visible)
        normed: Tensor = self.after_norm(x)
        return normed


def distance_encoding(length: int, dim: int) -> Tensor:
    """Sinusoids of the distances length - 1 … 1 - length, sine and cosine in turns: (2 * length - 1, dim)."""
    distances = torch.arange(length - 1, -length, -1).float()
    rates = torch.exp(torch.arange(0, dim, 2).float() * -(math.log(10000.0) / dim))
    angles = distances[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
