"""A whole answer as the published code makes it: forward pass and decoding in turns, nothing shared, nothing shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from runtime.diffusion.canvas import Canvas, SpeechRows
from runtime.diffusion.guidance import guided
from runtime.diffusion.reference import ReferenceDecoding, embedded_prefix
from runtime.diffusion.reference_rule import ReferenceRule
from runtime.executors.executor import Executor, ForwardItem


@dataclass(frozen=True)
class ReferencePrompt:
    """What stands before the answer.

    token_ids: (length,) int64. speech: rows that stand in it instead of token embeddings.
    unprompted: (n,) token ids of the prompt that guidance compares with, not longer than the prompt itself.
    as_ids: the published code was given the ids rather than their embeddings. The repeat penalty then falls on the
        prompt's tokens too; speech and guidance it can't do.
    """

    token_ids: Tensor
    speech: tuple[SpeechRows, ...] = ()
    unprompted: Tensor | None = None
    as_ids: bool = False

    def __post_init__(self) -> None:
        if self.as_ids and (self.speech or self.unprompted is not None):
            raise ValueError("a prompt given as ids has neither speech nor guidance; give it as embeddings")
        if self.unprompted is not None and len(self.unprompted) > len(self.token_ids):
            raise ValueError(
                f"the prompt to compare with has {len(self.unprompted)} tokens, more than the prompt's "
                f"{len(self.token_ids)}; the published code fails there, shorten it"
            )

    def begin(self, rule: ReferenceRule, mask_id: int) -> ReferenceDecoding:
        if rule.guidance_scale and self.unprompted is None:
            raise ValueError(
                f"guidance_scale is {rule.guidance_scale}, but there is no prompt to compare with; give one"
            )
        prefix = self.token_ids if self.as_ids else embedded_prefix(len(self.token_ids))
        return ReferenceDecoding.begin(prefix, rule, mask_id)


def generate(
    executor: Executor,
    prompt: ReferencePrompt,
    rule: ReferenceRule,
    *,
    mask_id: int,
    vocab_size: int,
    dtype: torch.dtype = torch.float32,
    generator: torch.Generator | None = None,
) -> tuple[ReferenceDecoding, ...]:
    """The decoding before the first step and after each; the last one holds the answer.

    dtype: what the model computes in. The published code samples in it, so scores are rounded back to it.
    generator: of random numbers, the global one by default.
    """
    history = [prompt.begin(rule, mask_id)]
    while not history[-1].done:
        scores = executor.forward(forward_items(prompt, history[-1], vocab_size))
        history.append(history[-1].advance(step_scores(scores, rule, dtype), generator))
    return tuple(history)


def forward_items(prompt: ReferencePrompt, decoding: ReferenceDecoding, vocab_size: int) -> list[ForwardItem]:
    """What the next step needs scored: one item, and a second without the prompt where it is guided."""
    rows, vocabulary = decoding.rows(), (0, vocab_size)
    token_ids = decoding.token_ids.clone()
    if not prompt.as_ids:
        token_ids[: len(prompt.token_ids)] = prompt.token_ids
    items = [ForwardItem(_canvas(token_ids, prompt.speech, decoding.mask_id), rows, vocabulary)]
    if decoding.rule.guidance_scale and prompt.unprompted is not None:
        answer = token_ids[len(prompt.token_ids) :]
        items.append(
            ForwardItem(_unprompted(prompt.unprompted, answer, len(token_ids), decoding.mask_id), rows, vocabulary)
        )
    return items


def step_scores(scores: Sequence[Tensor], rule: ReferenceRule, dtype: torch.dtype) -> Tensor:
    """What `ReferenceDecoding.advance` takes, from the scores of `forward_items`."""
    rounded = [tensor.to(dtype) for tensor in scores]
    return guided(rounded[0], rounded[1], rule.guidance_scale) if len(rounded) == 2 else rounded[0]


def _unprompted(prompt: Tensor, answer: Tensor, length: int, mask_id: int) -> Canvas:
    """The answer behind the other prompt.

    Kept from the published code: the row is filled up to the same length with positions whose embedding is zero, and
    they are attended. And its scores are used at the same positions, though the answer stands further to the left.
    """
    row = torch.cat([prompt, answer])
    missing = length - len(row)
    zeros = (SpeechRows(len(row), torch.zeros(missing, 1)),) if missing else ()  # one number for the whole embedding
    return _canvas(torch.cat([row, row.new_zeros(missing)]), zeros, mask_id)


def _canvas(token_ids: Tensor, speech: tuple[SpeechRows, ...], mask_id: int) -> Canvas:
    length = len(token_ids)
    return Canvas(token_ids, torch.arange(length).float(), torch.full((length,), -1), (), mask_id, speech)
