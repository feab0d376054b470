"""The canvas: the token row of one response, a fixed prompt and typed slots to fill."""

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

Modality = Literal["text", "image", "speech"]


@dataclass(frozen=True)
class Choice:
    """text: as it is told, exactly. tokens: as it stands on the canvas."""

    text: str
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Slot:
    """A run of canvas positions of one modality.

    name: unique in its canvas, what clients see ("transcript", "image", "text").
    vocabulary: the token ids that may stand here, [start, stop), but for those in `forbidden`.
    stage: slots of a lower stage are complete before this one is begun.
    ends: tokens behind which nothing of the answer follows.
    choices: where there are any, all it may say: (length,) tokens of each, ended where they are shorter than the slot.
    unsure: what it says where anything else is hardly likelier (`runtime.diffusion.choice.unsure`).
    """

    name: str
    modality: Modality
    start: int
    length: int
    vocabulary: tuple[int, int]
    stage: int
    forbidden: tuple[int, ...] = ()
    ends: tuple[int, ...] = ()
    choices: tuple["Choice", ...] = ()
    unsure: "Choice | None" = None

    @property
    def positions(self) -> slice:
        return slice(self.start, self.start + self.length)


@dataclass(frozen=True)
class SpeechRows:
    """Encoded speech that stands in the prompt instead of token embeddings, from canvas position `start` on.

    embeddings: (rows, hidden).
    """

    start: int
    embeddings: Tensor


@dataclass(frozen=True)
class Canvas:
    """One response being made. A denoise step returns a new canvas; the tensors of an old one never change.

    token_ids: (length,) int64, `mask_id` where open.
    positions: (length,) float32, what rotary embeddings turn by; fractional where text is laid along speech.
    image_cells: (length,) int64, row-major cell of a picture position, -1 elsewhere.
    spoken: (length,) int64, the text token that is being said at a position of speech, -1 elsewhere.
    confidence: (length,) float32, probability a token had when it was chosen; 1 in the prompt, 0 where masked.
    pinned: (length,) bool, tokens that a person put or kept there: they stay until he asks otherwise.
    """

    token_ids: Tensor
    positions: Tensor
    image_cells: Tensor
    slots: tuple[Slot, ...]
    mask_id: int
    speech: tuple[SpeechRows, ...] = ()
    confidence: Tensor = field(default_factory=lambda: torch.empty(0))
    pinned: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.bool))
    spoken: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.long))

    def __post_init__(self) -> None:
        if not len(self.spoken):
            object.__setattr__(self, "spoken", torch.full_like(self.token_ids, -1))
        if not len(self.confidence):
            object.__setattr__(self, "confidence", (self.token_ids != self.mask_id).float())
        if not len(self.pinned):
            object.__setattr__(self, "pinned", torch.zeros(len(self.token_ids), dtype=torch.bool))

    def __len__(self) -> int:
        return len(self.token_ids)

    @property
    def masked(self) -> Tensor:
        """(length,) bool."""
        return self.token_ids == self.mask_id

    def slot(self, name: str) -> Slot:
        for slot in self.slots:
            if slot.name == name:
                return slot
        raise KeyError(f"no slot {name!r} in this canvas; it has {', '.join(s.name for s in self.slots)}")

    def tokens_of(self, slot: Slot) -> Tensor:
        return self.token_ids[slot.positions]

    def said(self, slot: Slot) -> Tensor:
        """The slot's tokens before the first end that stands in it, masked ones among them."""
        tokens = self.tokens_of(slot)
        ends = torch.isin(tokens, torch.tensor(slot.ends, dtype=tokens.dtype)).nonzero()[:, 0]
        return tokens[: int(ends[0])] if len(ends) else tokens

    def num_masked(self, slot: Slot) -> int:
        return int(self.masked[slot.positions].sum())

    @property
    def active_slot(self) -> Slot | None:
        """The slot being filled: the first by stage with something masked; None when the canvas is complete."""
        unfinished = [slot for slot in self.slots if self.num_masked(slot)]
        return min(unfinished, key=lambda slot: slot.stage, default=None)

    @property
    def unmasked_ratio(self) -> float:
        """Share of the slots' positions that are filled, 0 … 1."""
        total = sum(slot.length for slot in self.slots)
        return 1.0 - sum(map(self.num_masked, self.slots)) / total if total else 1.0

    def fill(self, positions: Tensor, tokens: Tensor, confidence: Tensor) -> "Canvas":
        """Unmask: put `tokens` at `positions`. All three (n,)."""
        token_ids, kept = self.token_ids.clone(), self.confidence.clone()
        token_ids[positions], kept[positions] = tokens, confidence
        return replace(self, token_ids=token_ids, confidence=kept)

    def pin(self, positions: Tensor) -> "Canvas":
        """Keep what stands at `positions` (n,)."""
        pinned = self.pinned.clone()
        pinned[positions] = True
        return replace(self, pinned=pinned)

    def reopen(self, positions: Tensor) -> "Canvas":
        """Mask `positions` (n,) again, pinned or not."""
        pinned = self.pinned.clone()
        pinned[positions] = False
        masked = self.fill(positions, torch.full_like(positions, self.mask_id), torch.zeros(len(positions)))
        return replace(masked, pinned=pinned)
