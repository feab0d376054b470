"""The published generation loop with the published work: the baseline that `fidelity` measures against.

Nothing is spared: scores of all positions over the whole vocabulary, a mask that masks nothing, the vocabulary sorted,
penalties token by token, reports nobody reads. The tokens are those of `runtime.engine.reference`.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from runtime.diffusion.confidence import ConfidenceRule
from runtime.diffusion.guidance import guided
from runtime.diffusion.mask_schedule import step_times
from runtime.diffusion.reference import blocks, embedded_prefix, preset_position
from runtime.diffusion.reference_rule import ReferenceRule
from runtime.engine.reference import ReferencePrompt
from runtime.models.backbone import Backbone


@dataclass
class ReferenceLoop:
    """One answer being made.

    sequence: (length,) token ids. history: the sequence after each step. best: what the published loop also keeps, the
    best token of every position at each step.
    """

    backbone: Backbone
    prompt: ReferencePrompt
    rule: ReferenceRule
    mask_id: int
    generator: torch.Generator | None = None
    sequence: Tensor = field(init=False)
    history: list[Tensor] = field(default_factory=list)
    best: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        prompt_ids = self.prompt.token_ids
        prefix = prompt_ids if self.prompt.as_ids else embedded_prefix(len(prompt_ids))
        self.sequence = torch.cat([prefix, torch.full((self.rule.max_new_tokens,), self.mask_id)])
        if self.rule.begin_of_speech is not None:
            self.sequence[preset_position(self.sequence, self.mask_id)] = self.rule.begin_of_speech

    @torch.inference_mode()
    def run(self) -> Tensor:
        """The finished sequence."""
        num_masked = int((self.sequence == self.mask_id).sum())
        for block in blocks(len(self.prompt.token_ids), num_masked, self.rule):
            inside = torch.zeros(len(self.sequence), dtype=torch.bool)
            inside[block.start : block.stop] = True
            for step in range(block.steps):
                if not bool((self.sequence == self.mask_id).any()):
                    break
                self.step(inside, step, block.steps)
        return self.sequence

    @torch.inference_mode()
    def step(self, inside: Tensor, step: int, steps: int) -> None:
        """inside: (length,) bool, the positions of the block."""
        scores = self.all_scores()
        masked = self.sequence == self.mask_id
        if self.rule.confidence is None:
            self._fill_by_chance(scores[masked], masked, step, steps)
        else:
            self._fill_surest(scores[masked], masked, inside[masked], step, steps)
            scores.clone().softmax(-1).max(-1)
        self.history.append(self.sequence.clone())
        self.best.append(scores.clone().max(-1).indices)

    def all_scores(self) -> Tensor:
        """(length, vocab), guided, each row where its token belongs."""
        embedded = self.backbone.embed(self.sequence[None])
        if not self.prompt.as_ids:
            embedded[:, : len(self.prompt.token_ids)] = self._embedded_prompt()
        if self.rule.guidance_scale:
            with_prompt, without = self._head(torch.cat([embedded, self._embedded_unprompted(embedded)]))
            scores = guided(with_prompt, without, self.rule.guidance_scale)
        else:
            scores = self._head(embedded)[0]
        return torch.cat([scores[:1], scores[:-1]])

    def _head(self, embedded: Tensor) -> Tensor:
        everything = torch.ones(embedded.shape[1], embedded.shape[1], dtype=torch.bool)
        scores: Tensor = self.backbone.lm_head(self.backbone.hidden(embedded, bias=everything))
        return scores

    def _embedded_prompt(self) -> Tensor:
        embedded = self.backbone.embed(self.prompt.token_ids[None])[0]
        for rows in self.prompt.speech:
            embedded[rows.start : rows.start + len(rows.embeddings)] = rows.embeddings.to(embedded.dtype)
        return embedded

    def _embedded_unprompted(self, embedded: Tensor) -> Tensor:
        assert self.prompt.unprompted is not None
        answer = self.sequence[len(self.prompt.token_ids) :]
        other = self.backbone.embed(torch.cat([self.prompt.unprompted, answer])[None])
        return torch.cat([other, torch.zeros_like(embedded[:, other.shape[1] :])], 1)

    def _fill_by_chance(self, scores: Tensor, masked: Tensor, step: int, steps: int) -> None:
        now, then = step_times(step, steps, self.rule.last_time)
        probability = 1 - then / now if step < steps - 1 else torch.tensor(1.0)
        found = torch.full((len(scores),), self.mask_id)
        lucky = torch.rand(len(scores), generator=self.generator) < probability
        found[lucky] = self._sample(scores[lucky], "probability")[0]
        self.sequence[masked] = found

    def _fill_surest(self, scores: Tensor, masked: Tensor, inside: Tensor, step: int, steps: int) -> None:
        assert self.rule.confidence is not None
        tokens, confidence = self._sample(scores, self.rule.confidence)
        confidence = confidence + torch.where(inside, 0, -torch.inf)
        now, then = step_times(step, steps, self.rule.last_time)
        count = int(inside.sum())
        if step < steps - 1:
            count = int(count * (1 - then / now))
        count = max(1, count)
        if self.rule.confidence_temperature:
            shares = (confidence / self.rule.confidence_temperature).softmax(-1)
            chosen = torch.multinomial(shares, count, generator=self.generator)
        else:
            chosen = confidence.topk(count).indices
        found = torch.full((len(scores),), self.mask_id)
        found[chosen] = tokens[chosen]
        self.sequence[masked] = found

    def _sample(self, scores: Tensor, ranking: ConfidenceRule) -> tuple[Tensor, Tensor]:
        """Tokens and confidence of (rows, vocab) scores."""
        rule = self.rule
        if rule.temperature > 0:
            scores = scores / rule.temperature
        if rule.top_p < 1:
            scores = in_nucleus(scores, rule.top_p)
        if rule.top_k:
            worst = scores.topk(min(rule.top_k, scores.shape[-1])).values[:, -1:]
            scores = scores.masked_fill(scores < worst, torch.finfo(scores.dtype).min)
        if rule.repeat_penalty != 1 and self.history:
            self._penalise_repeats(scores)
        if rule.position_penalty != 1 and len(scores) > 100:
            penalise_positions(scores, rule.position_penalty)
        probabilities = scores.softmax(-1)
        confidence, tokens = probabilities.max(-1)
        if rule.temperature > 0 and len(scores):
            tokens = self._draw(probabilities, tokens)
            confidence = probabilities.gather(-1, tokens[:, None])[:, 0]
        if ranking == "margin":
            ordered = probabilities.sort(descending=True).values
            confidence = ordered[:, 0] - ordered[:, 1]
        if ranking == "entropy":
            confidence = (probabilities * (probabilities + 1e-10).log()).sum(-1)
        return tokens, confidence

    def _penalise_repeats(self, scores: Tensor) -> None:
        past = self.history[-1]
        for token in set(past[(past != 0) & (past != self.mask_id)].tolist()):
            column = scores[:, token]
            column[column < 0] *= self.rule.repeat_penalty
            column[column >= 0] /= self.rule.repeat_penalty

    def _draw(self, probabilities: Tensor, best: Tensor) -> Tensor:
        shares = probabilities / probabilities.sum(-1, keepdim=True)
        if bool(((shares.sum(-1) - 1).abs() >= 1e-6).any()):
            return best
        return torch.multinomial(shares, 1, True, generator=self.generator)[:, 0]


def in_nucleus(scores: Tensor, mass: float) -> Tensor:
    """All but the nucleus at the lowest number there is."""
    ordered, order = scores.sort(descending=True)
    late = ordered.softmax(-1).cumsum(-1) > mass
    late[:, 1:] = late[:, :-1].clone()
    late[:, 0] = False
    closed = torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, order, late)
    return scores.masked_fill(closed, torch.finfo(scores.dtype).min)


def penalise_positions(scores: Tensor, penalty: float) -> None:
    """In place, with a factor written out for every single score."""
    late = len(scores) - 100
    factors = [1.0] * 100 + [i / late * (penalty - 1) + 1 for i in range(late)]
    factor = torch.tensor(factors).to(scores.dtype)[:, None].repeat(1, scores.shape[-1])
    scores[scores < 0] *= factor[scores < 0]
    scores[scores >= 0] /= factor[scores >= 0]
