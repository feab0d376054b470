"""The speech encoder: SANM blocks over stacked filterbank frames (published twin: SenseVoice small), and projector."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUM_QUERY_ROWS = 4  # language, event, emotion, text normalisation: rows in front of the frames
QUERY_IDS = (0, 1, 2, 15)  # language auto, event, emotion, "woitn": what the published model asks for


@dataclass(frozen=True)
class SpeechEncoderConfig:
    """Sizes, named as in the published config. input_size: dims of a stacked frame (7 x 80)."""

    output_size: int
    attention_heads: int
    linear_units: int
    num_blocks: int
    tp_blocks: int
    input_size: int = 560
    kernel_size: int = 11
    ctc_vocab: int = 25055
    dropout: float = 0.0


class Dropout1d(nn.Dropout):
    """Dropout that costs nothing at rate 0."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if self.training and self.p else x


class SANMAttention(nn.Module):
    """Self-attention plus a depthwise convolution over the values (the "memory")."""

    def __init__(self, input_size: int, config: SpeechEncoderConfig) -> None:
        super().__init__()
        size = config.output_size
        self.num_heads = config.attention_heads
        self.linear_q_k_v = nn.Linear(input_size, 3 * size)
        self.linear_out = nn.Linear(size, size)
        self.fsmn_block = nn.Conv1d(
            size, size, config.kernel_size, padding=(config.kernel_size - 1) // 2, groups=size, bias=False
        )

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        batch, frames, _ = x.shape
        q, k, v = self.linear_q_k_v(x).chunk(3, -1)
        v = v * real[..., None]
        memory = (self.fsmn_block(v.transpose(1, 2)).transpose(1, 2) + v) * real[..., None]

        def heads(t: Tensor) -> Tensor:
            return t.view(batch, frames, self.num_heads, -1).transpose(1, 2)

        mixed = F.scaled_dot_product_attention(heads(q), heads(k), heads(v), attn_mask=real[:, None, None, :])
        out: Tensor = self.linear_out(mixed.transpose(1, 2).reshape(batch, frames, -1)) + memory
        return out


class FeedForward(nn.Module):
    def __init__(self, config: SpeechEncoderConfig) -> None:
        super().__init__()
        self.w_1 = nn.Linear(config.output_size, config.linear_units)
        self.w_2 = nn.Linear(config.linear_units, config.output_size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.w_2(F.relu(self.w_1(x)))
        return out


class SANMBlock(nn.Module):
    def __init__(self, input_size: int, config: SpeechEncoderConfig) -> None:
        super().__init__()
        self.self_attn = SANMAttention(input_size, config)
        self.feed_forward = FeedForward(config)
        self.norm1 = nn.LayerNorm(input_size)
        self.norm2 = nn.LayerNorm(config.output_size)
        self.dropout = Dropout1d(config.dropout)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        attended = self.dropout(self.self_attn(self.norm1(x), real))
        # The first block changes the width, so it has nothing to add to.
        x = x + attended if x.shape[-1] == attended.shape[-1] else attended
        fed: Tensor = self.dropout(self.feed_forward(self.norm2(x)))
        return x + fed


def position_encoding(rows: int, dim: int) -> Tensor:
    """Sinusoids for positions 1 … rows, sine half then cosine half: (rows, dim), float32."""
    positions = torch.arange(1, rows + 1).float()
    rate = torch.exp(-math.log(10000.0) / (dim / 2 - 1) * torch.arange(dim / 2).float())
    angles = positions[:, None] * rate[None]
    return torch.cat([angles.sin(), angles.cos()], -1)


class SANMEncoder(nn.Module):
    def __init__(self, config: SpeechEncoderConfig) -> None:
        super().__init__()
        self.scale = config.output_size**0.5
        self.encoders0 = nn.ModuleList([SANMBlock(config.input_size, config)])
        self.encoders = nn.ModuleList(SANMBlock(config.output_size, config) for _ in range(config.num_blocks - 1))
        self.tp_encoders = nn.ModuleList(SANMBlock(config.output_size, config) for _ in range(config.tp_blocks))
        self.after_norm = nn.LayerNorm(config.output_size)
        self.tp_norm = nn.LayerNorm(config.output_size)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        real = torch.arange(x.shape[1], device=x.device)[None] < lengths[:, None]
        x = x * self.scale + position_encoding(x.shape[1], x.shape[2]).to(x)
        for block in (*self.encoders0, *self.encoders):
            x = block(x, real)
        x = self.after_norm(x)
        for block in self.tp_encoders:
            x = block(x, real)
        normed: Tensor = self.tp_norm(x)
        return normed


class CTCHead(nn.Module):
    def __init__(self, config: SpeechEncoderConfig) -> None:
        super().__init__()
        self.ctc_lo = nn.Linear(config.output_size, config.ctc_vocab)


class SpeechEncoder(nn.Module):
    """Features of one or more clips -> encoded rows, the four query rows first."""

    def __init__(self, config: SpeechEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = SANMEncoder(config)
        self.ctc = CTCHead(config)  # in the published checkpoint; used here to train the encoder alone
        self.embed = nn.Embedding(16, config.input_size)

    def forward(
        self, features: Tensor, lengths: Tensor, query_ids: tuple[int, ...] = QUERY_IDS
    ) -> tuple[Tensor, Tensor]:
        """features: (batch, frames, 560), lengths: (batch,) -> (batch, frames + 4, size), lengths + 4."""
        queries = self.embed(torch.tensor(query_ids, device=features.device)).to(features)
        x = torch.cat([queries.expand(len(features), -1, -1), features], 1)
        lengths = lengths + NUM_QUERY_ROWS
        return self.encoder(x, lengths), lengths


class SpeechProjector(nn.Module):
    """Encoder width -> backbone width."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.pre_proj_layernorm = nn.LayerNorm(input_size)
        self.mlp = nn.Sequential(
            nn.Linear(input_size, hidden_size, bias=False), nn.GELU(), nn.Linear(hidden_size, hidden_size, bias=False)
        )

    def forward(self, encoded: Tensor) -> Tensor:
        projected: Tensor = self.mlp(self.pre_proj_layernorm(encoded))
        return projected
