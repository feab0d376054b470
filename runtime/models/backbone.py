"""The backbone: a Qwen2-shaped transformer without a causal mask (published twin: Dream 7B).

Every position sees every other one of the same canvas. Scores follow the published shift: what belongs at position p
is read at position p - 1.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from runtime.models.speech_encoder import NUM_QUERY_ROWS, SpeechEncoder, SpeechEncoderConfig, SpeechProjector


@dataclass(frozen=True)
class BackboneConfig:
    """Field names of the published `config.json`; the last two are ours.

    image_grid: rows and columns of the learned picture-position embeddings; 0 (the published model) has none.
    spoken_offsets: learned embeddings of how far a position of speech is from either end of the token that is said
        there, at most so many codes less one; 0 has none.
    """

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1e6
    tie_word_embeddings: bool = False
    initializer_range: float = 0.02
    image_grid: int = 0
    spoken_offsets: int = 0

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads


class RMSNorm(nn.Module):
    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * wide.to(x.dtype)


Rotation = tuple[Tensor, Tensor]  # cos, sin, each (batch, 1, length, head_dim)


def rotary(positions: Tensor, head_dim: int, theta: float, dtype: torch.dtype) -> Rotation:
    """Angles of half-rotation RoPE. positions: (batch, length), whole or fractional."""
    frequencies = 1.0 / theta ** (torch.arange(0, head_dim, 2, device=positions.device).float() / head_dim)
    angles = positions.float()[:, None, :, None] * frequencies
    angles = torch.cat([angles, angles], -1)
    return angles.cos().to(dtype), angles.sin().to(dtype)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    cos, sin = rotation
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def taken(x: Tensor, rows: Tensor) -> Tensor:
    """(batch, length, dim), rows (batch, n) -> (batch, n, dim)."""
    return x.gather(1, rows[..., None].expand(-1, -1, x.shape[-1]))


def _taken_rotation(rotation: Rotation, rows: Tensor) -> Rotation:
    cos, sin = (taken(part[:, 0], rows)[:, None] for part in rotation)
    return cos, sin


def within_runs(values: Tensor) -> tuple[Tensor, Tensor]:
    """(batch, length) -> how far each position is from the first and from the last of the equal ones around it."""
    index = torch.arange(values.shape[1], device=values.device).expand_as(values)
    changes = values[:, 1:] != values[:, :-1]
    edge = torch.ones_like(changes[:, :1])
    firsts = torch.where(torch.cat([edge, changes], 1), index, 0).cummax(1).values
    lasts = torch.where(torch.cat([changes, edge], 1), index, values.shape[1]).flip(1).cummin(1).values.flip(1)
    return index - firsts, lasts - index


@dataclass
class LayerMemory:
    """Keys and values of one layer, (batch, key/value heads, length, head_dim) each; None before the first pass."""

    keys: Tensor | None = None
    values: Tensor | None = None

    def keep(self, keys: Tensor, values: Tensor, active: Tensor | None) -> tuple[Tensor, Tensor]:
        """Take those of the `active` positions (n,), or all of them, and give back those of all."""
        if active is None:
            self.keys, self.values = keys, values
        else:
            assert self.keys is not None
            assert self.values is not None
            self.keys = self.keys.index_copy(2, active, keys)
            self.values = self.values.index_copy(2, active, values)
        return self.keys, self.values


@dataclass
class Memory:
    """What canvases of one shape left behind in every layer: the next pass need not work on all positions."""

    layers: dict[int, LayerMemory] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.layers)

    @property
    def num_bytes(self) -> int:
        tensors = [part for layer in self.layers.values() for part in (layer.keys, layer.values) if part is not None]
        return sum(part.numel() * part.element_size() for part in tensors)


class Attention(nn.Module):
    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.num_groups = config.num_attention_heads // config.num_key_value_heads
        kv_dim = config.num_key_value_heads * self.head_dim
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, kv_dim)
        self.v_proj = nn.Linear(config.hidden_size, kv_dim)
        self.o_proj = nn.Linear(config.hidden_size, config.hidden_size, bias=False)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation,
        bias: Tensor | None,
        rows: Tensor | None = None,
        memory: LayerMemory | None = None,
        active: Tensor | None = None,
    ) -> Tensor:
        """rows: (batch, n), the only ones that look around; all are looked at.

        memory: takes the keys and values. active: (length,) positions that x is of, the others are looked at as
        `memory` has them; `rows` then counts among these.
        """
        batch, _, dim = x.shape
        asking, turned = (x, rotation) if rows is None else (taken(x, rows), _taken_rotation(rotation, rows))

        def heads(projected: Tensor) -> Tensor:  # (batch, heads, length, head_dim)
            return projected.view(batch, projected.shape[1], -1, self.head_dim).transpose(1, 2)

        q = rotate(heads(self.q_proj(asking)), turned)
        k = rotate(heads(self.k_proj(x)), rotation)
        v = heads(self.v_proj(x))
        if memory is not None:
            k, v = memory.keep(k, v, active)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, enable_gqa=self.num_groups > 1)
        out: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(batch, asking.shape[1], dim))
        return out


class GatedMLP(nn.Module):
    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    def __init__(self, config: BackboneConfig) -> None:
        super().__init__()
        self.self_attn = Attention(config)
        self.mlp = GatedMLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation,
        bias: Tensor | None,
        rows: Tensor | None = None,
        memory: LayerMemory | None = None,
        active: Tensor | None = None,
    ) -> Tensor:
        """(batch, length, hidden) -> the same, or only its `rows` (batch, n). memory, active: as in Attention."""
        attended = self.self_attn(self.input_layernorm(x), rotation, bias, rows, memory, active)
        x = (x if rows is None else taken(x, rows)) + attended
        fed: Tensor = self.mlp(self.post_attention_layernorm(x))
        return x + fed


class AudioModel(nn.Module):
    """The published nesting of the speech encoder inside the backbone: `model.audio_model.model.*`."""

    def __init__(self, config: SpeechEncoderConfig) -> None:
        super().__init__()
        self.model = SpeechEncoder(config)


class Decoder(nn.Module):
    """Embeddings, layers and final norm; the published prefix is `model.`."""

    def __init__(self, config: BackboneConfig, speech: SpeechEncoderConfig | None) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        if config.image_grid:
            self.image_row_embeddings = nn.Embedding(config.image_grid, config.hidden_size)
            self.image_column_embeddings = nn.Embedding(config.image_grid, config.hidden_size)
        if config.spoken_offsets:
            self.spoken_since_embeddings = nn.Embedding(config.spoken_offsets, config.hidden_size)
            self.spoken_until_embeddings = nn.Embedding(config.spoken_offsets, config.hidden_size)
        if speech is not None:
            self.audio_model = AudioModel(speech)
            self.audio_projection = SpeechProjector(speech.output_size, config.hidden_size)


class Backbone(nn.Module):
    """Token rows in, scores out.

    speech: sizes of the speech encoder that lives inside the checkpoint, or None for a backbone without ears.
    """

    def __init__(self, config: BackboneConfig, speech: SpeechEncoderConfig | None = None) -> None:
        super().__init__()
        self.config = config
        self.model = Decoder(config, speech)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.tie_word_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight

    def embed(self, token_ids: Tensor, image_cells: Tensor | None = None, spoken: Tensor | None = None) -> Tensor:
        """(batch, length) ids -> (batch, length, hidden).

        image_cells: (batch, length), row * image_grid + column of a picture position, -1 elsewhere.
        spoken: (batch, length), the text token that is said at a position of speech, -1 elsewhere.
        """
        embedded: Tensor = self.model.embed_tokens(token_ids)
        grid = self.config.image_grid
        if grid and image_cells is not None:
            cells = image_cells.clamp(min=0)
            place = self.model.image_row_embeddings(cells // grid) + self.model.image_column_embeddings(cells % grid)
            embedded = embedded + place * (image_cells >= 0).unsqueeze(-1)
        if spoken is not None:
            embedded = embedded + self._said(spoken) * (spoken >= 0).unsqueeze(-1)
        return embedded

    def _said(self, spoken: Tensor) -> Tensor:
        said: Tensor = self.model.embed_tokens(spoken.clamp(min=0))
        furthest = self.config.spoken_offsets - 1
        if furthest < 0:
            return said
        since, until = within_runs(spoken)
        begun: Tensor = self.model.spoken_since_embeddings(since.clamp(max=furthest))
        left: Tensor = self.model.spoken_until_embeddings(until.clamp(max=furthest))
        return said + begun + left

    def encode_speech(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, frames, 560) front-end features -> (batch, frames + 4, hidden) prompt rows and their number."""
        heard, heard_lengths = self.hear(features, lengths)
        return self.model.audio_projection(heard), heard_lengths

    def hear(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As `encode_speech`, but (batch, frames + 4, encoder width): what the speech encoder makes of it."""
        weights = self.model.embed_tokens.weight
        heard: tuple[Tensor, Tensor] = self.model.audio_model.model(features.to(weights), lengths.to(weights.device))
        return heard

    def spell(self, heard: Tensor) -> Tensor:
        """(frames + 4, encoder width) of one clip -> (frames, letters) log-probabilities of the CTC head."""
        letters: Tensor = self.model.audio_model.model.ctc.ctc_lo(heard[NUM_QUERY_ROWS:])
        return letters.float().log_softmax(-1).cpu()

    def hidden(
        self,
        embedded: Tensor,
        positions: Tensor | None = None,
        bias: Tensor | None = None,
        rows: Tensor | None = None,
        memory: Memory | None = None,
        active: Tensor | None = None,
    ) -> Tensor:
        """(batch, length, hidden) embeddings -> the same shape after the final norm.

        positions: (batch, length) rotary positions, fractional ones allowed; default 0, 1, 2 …
        bias: what attention adds to its scores, broadcast to (batch, heads, length, length); None: all see all.
        rows: (batch, n): only these come out, (batch, n, hidden), and the last layer works on no others; bias must then
            be the same for all rows.
        memory: takes the keys and values of this pass. active: (length,) canvas positions that `embedded` is of; what
            the others say is taken from `memory`, as old as it is. `rows` then counts among the active ones.
        """
        if positions is None:
            positions = torch.arange(embedded.shape[1], device=embedded.device).expand(embedded.shape[:2])
        rotation = rotary(positions, self.config.head_dim, self.config.rope_theta, embedded.dtype)
        x = embedded
        last = len(self.model.layers) - 1
        for index, layer in enumerate(self.model.layers):
            kept = None if memory is None else memory.layers.setdefault(index, LayerMemory())
            x = layer(x, rotation, bias, rows if index == last else None, kept, active)
        normed: Tensor = self.model.norm(x)
        return normed

    def scores(self, hidden: Tensor, vocabulary: slice = slice(None)) -> Tensor:
        """(n, hidden) -> (n, len(vocabulary)). What belongs at position p is read off the hidden row p - 1."""
        return F.linear(hidden, self.lm_head.weight[vocabulary])

    def forward(self, token_ids: Tensor) -> Tensor:
        """(batch, length) ids -> (batch, length, vocab) scores, not shifted: the published forward pass."""
        scores: Tensor = self.lm_head(self.hidden(self.embed(token_ids)))
        return scores


def padding_bias(lengths: Tensor, length: int, dtype: torch.dtype) -> Tensor | None:
    """Attention bias that hides each canvas's padding: (batch, 1, 1, length), or None when nothing is padded."""
    if bool((lengths == length).all()):
        return None
    real = torch.arange(length, device=lengths.device)[None] < lengths[:, None]
    bias = torch.zeros(real.shape, dtype=dtype, device=lengths.device).masked_fill(~real, torch.finfo(dtype).min)
    return bias[:, None, None, :]


def segment_bias(position_ids: Tensor, dtype: torch.dtype, real: Tensor) -> Tensor:
    """Attention bias of a packed row: a segment starts where position_ids is 0 and sees itself alone.

    position_ids, real: (batch, length) -> (batch, 1, length, length). What is not real is seen by itself alone, so that
    no row of the softmax is empty.
    """
    own = torch.eye(position_ids.shape[1], dtype=torch.bool, device=position_ids.device)
    seen = (_same_segment(position_ids) & real[:, None, :] & real[:, :, None]) | own
    return _bias(seen, dtype)


def reference_segment_bias(position_ids: Tensor, dtype: torch.dtype, real: Tensor) -> Tensor:
    """The same as published: the last segment sees the padding behind it, which itself sees nothing.

    A row that sees nothing has no gradient that is a number: for a forward pass only.
    """
    return _bias(_same_segment(position_ids) & real[:, :, None], dtype)


def _same_segment(position_ids: Tensor) -> Tensor:
    segment = (position_ids == 0).cumsum(-1)
    return segment[:, :, None] == segment[:, None, :]


def _bias(seen: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill(~seen, -torch.inf)[:, None]
