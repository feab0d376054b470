"""Decoding exactly as the published code does it, step by step: a sequence and scores in, a new sequence out.

`denoise` does it right; this module keeps every habit of the published code that changes its output.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from runtime.diffusion.mask_schedule import num_to_unmask, step_times
from runtime.diffusion.reference_rule import ReferenceRule
from runtime.diffusion.reference_sampler import Choice, choose

SPEECH_BEGINS = 0.2  # share of the answer that stands before its speech
PREFIX_TOKEN = 0  # what the published code has in the place of a prompt that came as embeddings


@dataclass(frozen=True)
class Block:
    """Sequence positions [start, stop) and how many steps they get."""

    start: int
    stop: int
    steps: int


@dataclass(frozen=True)
class StepRecord:
    """What a step did.

    rows: (n,) positions the sampler saw; tokens, confidence: (n,) what it said of them.
    filled: (k,) positions that got their token.
    draws: (masked,) uniform numbers by which positions were filled by chance, else None.
    """

    rows: Tensor
    tokens: Tensor
    confidence: Tensor
    filled: Tensor
    draws: Tensor | None = None


@dataclass(frozen=True)
class ReferenceDecoding:
    """An answer being made. A step returns a new decoding; the tensors of an old one never change.

    token_ids: (length,) int64: the prompt, then the answer, `mask_id` where open.
    block, step: the block being filled and the steps run in it. num_steps: steps run in all.
    last: the latest step; None before the first.

    Kept from the published code:
    * The mask token is not forbidden. A position that gets it stays masked and may be so in the end.
    * The sampler sees the masked positions of all blocks, and ranks for the position penalty are counted among them
      (among those chosen, where they are filled by chance).
    * The repeat penalty falls on every token of the sequence but 0 and the mask, from the second step on. A preset
      begin of speech is one of them; the prompt is where it came as ids (as embeddings it is all 0 here).
    * A block gets its share of the steps rounded down. With none it is never filled; and a block that is full before
      its last step fills one position of another in each step left.
    * Blocks are counted by the masked positions at the start, so a preset token can cost the last block.
    * Where positions are filled by chance blocks do not matter: the steps of the first fill all.
    * Nothing ends an answer early: text behind its end is decoded like any other.
    """

    rule: ReferenceRule
    token_ids: Tensor
    mask_id: int
    blocks: tuple[Block, ...]
    block: int = 0
    step: int = 0
    num_steps: int = 0
    last: StepRecord | None = None

    @classmethod
    def begin(cls, prefix: Tensor, rule: ReferenceRule, mask_id: int) -> "ReferenceDecoding":
        """All masked behind the prefix: (prompt length,) token ids, or `embedded_prefix` of a prompt of embeddings.

        Raises ValueError when the prefix is empty or begins with the mask token: the first position has no scores.
        """
        length = len(prefix)
        if not length or int(prefix[0]) == mask_id:
            raise ValueError(
                "the prompt is empty or begins with the mask token; a position is scored one position before it, so "
                "give a prompt of at least one other token"
            )
        token_ids = torch.cat([prefix, prefix.new_full((rule.max_new_tokens,), mask_id)])
        if rule.begin_of_speech is not None:
            token_ids[preset_position(token_ids, mask_id)] = rule.begin_of_speech
        num_masked = int((token_ids == mask_id).sum())
        return cls(rule, token_ids, mask_id, blocks(length, num_masked, rule))._in_open_block()

    @property
    def masked(self) -> Tensor:
        """(length,) bool."""
        return self.token_ids == self.mask_id

    @property
    def done(self) -> bool:
        return self.block >= len(self.blocks)

    def rows(self) -> Tensor:
        """Positions whose scores the next step needs, ascending: (masked,) int64."""
        return self.masked.nonzero()[:, 0]

    def advance(self, scores: Tensor, generator: torch.Generator | None = None) -> "ReferenceDecoding":
        """One step.

        scores: (masked, vocab) at `rows`, guided already, in the dtype the model computes in. generator: of random
        numbers, the global one by default; drawn are, each only where the rule asks for chance: one uniform number a
        masked position, then tokens, then positions.
        """
        if self.done:
            raise ValueError("the answer is finished; there is no step left to run")
        if len(scores) != len(rows := self.rows()):
            raise ValueError(
                f"{len(scores)} rows of scores came for {len(rows)} masked positions; give those of rows()"
            )
        step = self._by_chance if self.rule.confidence is None else self._by_confidence
        record = step(rows, scores, generator)
        token_ids = self.token_ids.clone()
        places = torch.searchsorted(record.rows, record.filled)
        token_ids[record.filled] = record.tokens[places]
        advanced = replace(self, token_ids=token_ids, step=self.step + 1, num_steps=self.num_steps + 1, last=record)
        return advanced._in_open_block()

    def _by_chance(self, rows: Tensor, scores: Tensor, generator: torch.Generator | None) -> StepRecord:
        steps = self.blocks[self.block].steps
        now, then = step_times(self.step, steps, self.rule.last_time)
        draws = torch.rand(len(rows), generator=generator, device=rows.device)
        lucky = draws < (1 - then / now) if self.step < steps - 1 else draws < 1
        choice = self._choose(scores[lucky], generator)
        return StepRecord(rows[lucky], choice.tokens, choice.confidence, filled=rows[lucky], draws=draws)

    def _by_confidence(self, rows: Tensor, scores: Tensor, generator: torch.Generator | None) -> StepRecord:
        block = self.blocks[self.block]
        choice = self._choose(scores, generator)
        inside = (rows >= block.start) & (rows < block.stop)
        ranks = choice.confidence.float().masked_fill(~inside, -torch.inf)
        num_masked = int(inside.sum())
        # At least one even when the block is full: then all ranks are equal and whatever comes first is filled.
        count = max(1, num_to_unmask("linear", num_masked, self.step, block.steps, self.rule.last_time))
        if self.rule.confidence_temperature > 0 and num_masked:
            shares = (ranks / self.rule.confidence_temperature).softmax(-1)
            surest = torch.multinomial(shares, count, generator=generator)
        else:
            surest = ranks.topk(count).indices
        return StepRecord(rows, choice.tokens, choice.confidence, filled=rows[surest].sort().values)

    def _choose(self, scores: Tensor, generator: torch.Generator | None) -> Choice:
        return choose(scores, self.rule, self.rule.confidence or "probability", self._used(), generator)

    def _used(self) -> Tensor:
        """Tokens the repeat penalty falls on: those after the step before, so none in the first step."""
        if not self.num_steps:
            return self.token_ids[:0]
        return self.token_ids[(self.token_ids != PREFIX_TOKEN) & ~self.masked]

    def _in_open_block(self) -> "ReferenceDecoding":
        """At the next block with a step left, or done when nothing is masked."""
        if not bool(self.masked.any()):
            return replace(self, block=len(self.blocks), step=0)
        current = self
        while not current.done and current.step >= self.blocks[current.block].steps:
            current = replace(current, block=current.block + 1, step=0)
        return current


def embedded_prefix(length: int) -> Tensor:
    """What stands for a prompt that came as embeddings: (length,) int64."""
    return torch.full((length,), PREFIX_TOKEN)


def preset_position(token_ids: Tensor, mask_id: int) -> int:
    """Where speech begins: after a fifth of the masked positions, in the published single precision."""
    num_masked = (token_ids == mask_id).sum()
    return int((len(token_ids) - num_masked) + num_masked * SPEECH_BEGINS)


def blocks(prompt_length: int, num_masked: int, rule: ReferenceRule) -> tuple[Block, ...]:
    """The blocks of an answer; their steps in the published single precision."""
    size = rule.block_size or rule.max_new_tokens
    stop = prompt_length + rule.max_new_tokens
    starts = [prompt_length + i * size for i in range(-(-num_masked // size))]
    return tuple(_block(start, min(start + size, stop), rule) for start in starts if start < stop)


def _block(start: int, stop: int, rule: ReferenceRule) -> Block:
    share = torch.tensor(stop - start) / rule.max_new_tokens
    return Block(start, stop, int(share * rule.num_steps))
