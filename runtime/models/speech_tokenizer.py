"""The speech tokenizer: a block-causal Whisper encoder with a codebook (published twin: GLM-4-Voice's tokenizer).

A clip's log-mel frames (100 a second) become codes, 12.5 a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# What the published config may say that this network does not have another way of doing.
REQUIRED = {
    "activation_function": "gelu",
    "encoder_causal_convolution": True,
    "encoder_causal_attention": False,
    "quantize_causal_encoder": False,
    "quantize_encoder_only": True,
    "pooling_type": "avg",
    "scale_embedding": False,
}


@dataclass(frozen=True)
class SpeechTokenizerConfig:
    """Field names and defaults of the published `config.json`.

    quantize_position: layers before the codebook. quantize_causal_block_size: frames, 50 a second, that see each other.
    pooling_kernel_size: frames averaged into one code. Raises ValueError for sizes no network can have.
    """

    d_model: int = 1280
    encoder_attention_heads: int = 20
    encoder_ffn_dim: int = 5120
    num_mel_bins: int = 128
    max_source_positions: int = 1500
    quantize_position: int = 16
    quantize_causal_block_size: int = 200
    quantize_vocab_size: int = 16384
    pooling_kernel_size: int = 4

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; a whole number above 0 is needed")
        if self.d_model % self.encoder_attention_heads:
            raise ValueError(
                f"d_model is {self.d_model}, which encoder_attention_heads, {self.encoder_attention_heads}, "
                "does not divide; it must"
            )

    @property
    def frames_per_code(self) -> int:
        """Mel frames a code stands for; the second convolution halves them."""
        return 2 * self.pooling_kernel_size

    @classmethod
    def from_published(cls, sizes: Mapping[str, Any]) -> "SpeechTokenizerConfig":
        """From the published config, most of whose fields belong to parts that are not in the checkpoint.

        Raises ValueError for a field that asks for another network.
        """
        for name, value in REQUIRED.items():
            if sizes.get(name, value) != value:
                raise ValueError(f"{name} is {sizes[name]!r}; this speech tokenizer is built for {value!r} alone")
        position = sizes.get("quantize_position", cls.quantize_position)
        if sizes.get("pooling_position", position) != position:
            raise ValueError(
                f"pooling_position is {sizes['pooling_position']}, quantize_position {position}; "
                "they must be the same for this speech tokenizer"
            )
        names = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in sizes.items() if name in names})


class CausalConv(nn.Conv1d):
    """Sees no frame behind the one it stands at: what a clip ends with is not read by what came before."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__(channels_in, channels_out, kernel_size=3, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (2, 0)))


class Attention(nn.Module):
    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__()
        size = config.d_model
        self.num_heads = config.encoder_attention_heads
        self.k_proj = nn.Linear(size, size, bias=False)
        self.v_proj = nn.Linear(size, size)
        self.q_proj = nn.Linear(size, size)
        self.out_proj = nn.Linear(size, size)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        batch, frames, size = x.shape

        def heads(projected: Tensor) -> Tensor:
            return projected.view(batch, frames, self.num_heads, -1).transpose(1, 2)

        mixed = F.scaled_dot_product_attention(
            heads(self.q_proj(x)), heads(self.k_proj(x)), heads(self.v_proj(x)), attn_mask=visible
        )
        out: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(batch, frames, size))
        return out


class Layer(nn.Module):
    def __init__(self, config: SpeechTokenizerConfig) -> None:
        super().__init__()
        size = config.d_model
        self.self_attn = Attention(config)
        self.self_attn_layer_norm = nn.LayerNorm(size)
        self.fc1 = nn.Linear(size, config.encoder_ffn_dim)
        self.fc2 = nn.Linear(config.encoder_ffn_dim, size)
        self.final_layer_norm = nn.LayerNorm(size)

    def forward(self, x: Tensor, visible: Tensor) -> Tensor:
        x = x + self.self_attn(self.self_attn_layer_norm(x), visible)
        fed: Tensor = self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))
        return x + fed


@dataclass(frozen=True)
class Encoded:
    """codes: (batch, n) int64. hidden: (batch, n, size), what the codes are nearest to. mask: (batch, n), real ones."""

    codes: Tensor
    hidden: Tensor
    mask: Tensor


class SpeechTokenizer(nn.Module):
    ema_count: Tensor
    ema_weight: Tensor

    def __init__(self, config: SpeechTokenizerConfig = SpeechTokenizerConfig()) -> None:
        super().__init__()
        self.config = config
        size = config.d_model
        self.conv1 = CausalConv(config.num_mel_bins, size, stride=1)
        self.conv2 = CausalConv(size, size, stride=2)
        self.embed_positions = nn.Embedding(config.max_source_positions, size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.quantize_position))
        self.codebook = nn.Embedding(config.quantize_vocab_size, size)
        self.embed_positions2 = nn.Embedding(config.max_source_positions // config.pooling_kernel_size, size)
        # Left over from its training, in the published checkpoint.
        self.register_buffer("ema_count", torch.ones(config.quantize_vocab_size))
        self.register_buffer("ema_weight", torch.zeros(config.quantize_vocab_size, size))

    def forward(self, mel: Tensor, mask: Tensor) -> Encoded:
        """mel: (batch, bins, frames), frames a multiple of `frames_per_code`; mask: (batch, frames), true where real.

        Clips at most as long as the positions reach, 30 s at published size.
        """
        frames, most = mel.shape[-1], 2 * self.config.max_source_positions
        if frames % self.config.frames_per_code or frames > most:
            raise ValueError(
                f"{frames} mel frames came; a multiple of {self.config.frames_per_code}, at most {most}, is needed"
            )
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        x = x + self.embed_positions.weight[: x.shape[1]]
        real = mask[:, ::2].bool()
        visible = block_causal(real, self.config.quantize_causal_block_size)
        for layer in self.layers:
            x = layer(x, visible)
        step = self.config.pooling_kernel_size
        hidden = F.avg_pool1d(x.transpose(1, 2), step).transpose(1, 2)
        return Encoded(self.nearest(hidden), hidden, real[:, ::step])

    def nearest(self, hidden: Tensor) -> Tensor:
        """The code at the smallest squared distance: (batch, n, size) -> (batch, n)."""
        table = self.codebook.weight
        distance = table.pow(2).sum(-1) - 2 * hidden @ table.T
        return distance.argmin(-1)

    def embed(self, codes: Tensor) -> Tensor:
        """Codes (batch, n) -> (batch, n, size), with their second positions: the published last hidden state."""
        embedded: Tensor = self.codebook(codes) + self.embed_positions2.weight[: codes.shape[1]]
        return embedded


def block_causal(real: Tensor, block_size: int) -> Tensor:
    """What each frame sees: all before it and all of its own block, if real. (batch, n) -> (batch, 1, n, n) bool."""
    places = torch.arange(real.shape[1], device=real.device)
    seen = (places[None] <= places[:, None]) | (places[None] // block_size == places[:, None] // block_size)
    return seen & real[:, None, None, :]
