"""Several answers to the same open text, side by side: what is in doubt is tried every likely way (beam search).

Positions filled together do not know of each other, so the likeliest token of each need not make the likeliest text.
Here what is sure is filled together, and at the first position in doubt the text goes on in every likely way, each of
them seen by the next pass.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from runtime.diffusion.canvas import Canvas, Slot

SURE = math.log(0.95)  # filled without looking at anything else
LEAST = math.log(0.003)  # tokens less likely than this are not tried
SPREAD = 7.0  # nats a text may be less likely than the best one


@dataclass(frozen=True)
class Hypothesis:
    """tokens: (slot.length,) ids, the mask's where open. confidence: (slot.length,) of each when it was chosen.

    worth: log-probability of what was chosen, in the order it was.
    """

    tokens: Tensor
    confidence: Tensor
    worth: float = 0.0

    def put(self, places: Tensor, tokens: Tensor, logs: Tensor) -> "Hypothesis":
        ids, confidence = self.tokens.clone(), self.confidence.clone()
        ids[places], confidence[places] = tokens, logs.exp()
        return Hypothesis(ids, confidence, self.worth + float(logs.sum()))


@dataclass(frozen=True)
class Best:
    """index: of the hypothesis. shares: (hypotheses,) how much speaks for each, 1 in all."""

    index: int
    shares: Tensor


@dataclass(frozen=True)
class Beam:
    """growing: with open positions left. finished: without. Together at most `width`, of `slot` of a canvas.

    padding: what stands behind the end of a text. whole: nothing of the slot was given.
    """

    slot: Slot
    mask_id: int
    padding: int
    width: int
    whole: bool
    growing: tuple[Hypothesis, ...]
    finished: tuple[Hypothesis, ...] = ()

    @classmethod
    def begun(cls, canvas: Canvas, slot: Slot, width: int, padding: int) -> "Beam":
        """From what stands in the slot already."""
        start = Hypothesis(canvas.tokens_of(slot), canvas.confidence[slot.positions])
        return cls(slot, canvas.mask_id, padding, width, canvas.num_masked(slot) == slot.length, (start,))

    @property
    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """The likeliest first."""
        return tuple(sorted((*self.finished, *self.growing), key=lambda one: -one.worth))

    def canvases(self, canvas: Canvas) -> list[Canvas]:
        """One for each growing hypothesis: `canvas` with it in its slot of the name."""
        slot = canvas.slot(self.slot.name)
        places = torch.arange(slot.start, slot.start + slot.length)
        return [canvas.fill(places, one.tokens, one.confidence) for one in self.growing]

    def advanced(self, scores: Sequence[Tensor]) -> "Beam":
        """One round further. scores: of `canvases`, (open positions, length of slot.vocabulary) each."""
        found = [*self.finished]
        for one, table in zip(self.growing, scores, strict=True):
            found += self._ways_on(one, table)
        found.sort(key=lambda one: -one.worth)
        kept = [one for one in found[: self.width] if one.worth >= found[0].worth - SPREAD]
        growing, finished = ([one for one in kept if self._is_open(one) == still] for still in (True, False))
        return replace(self, growing=tuple(growing), finished=tuple(finished))

    def agreed(self, canvas: Canvas) -> Canvas:
        """`canvas` with what all hypotheses have in common."""
        tokens = torch.stack([one.tokens for one in self.hypotheses])
        same = (tokens == tokens[0]).all(0) & (tokens[0] != self.mask_id) & canvas.masked[self.slot.positions]
        places = same.nonzero()[:, 0]
        return canvas.fill(places + self.slot.start, tokens[0, places], self.hypotheses[0].confidence[places])

    def said(self) -> list[Tensor]:
        """The tokens of each hypothesis before its end, in the order of `hypotheses`."""
        return [self._before_end(one.tokens) for one in self.hypotheses]

    def best(self, evidence: Sequence[float]) -> "Best":
        """evidence: nats that speak for each besides, in the order of `hypotheses`."""
        worth = torch.tensor([one.worth for one in self.hypotheses]) + torch.tensor(evidence)
        return Best(int(worth.argmax()), worth.softmax(0))

    def filled(self, canvas: Canvas, best: "Best") -> Canvas:
        """`canvas` with the best of the hypotheses, where it is open.

        How sure a position is, is the share of those that agree there; of a single one, as when it was chosen.
        """
        chosen = self.hypotheses[best.index]
        tokens = torch.stack([one.tokens for one in self.hypotheses])
        shares = ((tokens == chosen.tokens) * best.shares[:, None]).sum(0).clamp(max=1.0)
        confidence = chosen.confidence if len(tokens) == 1 else shares
        places = canvas.masked[self.slot.positions].nonzero()[:, 0]
        return canvas.fill(places + self.slot.start, chosen.tokens[places], confidence[places])

    def _is_open(self, one: Hypothesis) -> bool:
        return bool((one.tokens == self.mask_id).any())

    def _ways_on(self, one: Hypothesis, scores: Tensor) -> list[Hypothesis]:
        """What is sure filled in; if that leaves something open, the first open position in every likely way."""
        places, first = (one.tokens == self.mask_id).nonzero()[:, 0], self.slot.vocabulary[0]
        logs = self._allowed(scores, places).log_softmax(-1)
        likeliest = logs.max(-1)
        sure = likeliest.values >= SURE
        one = self._closed(one.put(places[sure], likeliest.indices[sure] + first, likeliest.values[sure]))
        still_open = (one.tokens == self.mask_id).nonzero()[:, 0]
        if not len(still_open):
            return [one]
        place = still_open[:1]
        best = logs[int((places == place).nonzero()[0, 0])].topk(min(self.width, logs.shape[-1]))
        num = max(1, int((best.values >= LEAST).sum()))
        ways = zip(best.indices[:num, None] + first, best.values[:num, None], strict=True)
        return [self._closed(one.put(place, token, log)) for token, log in ways]

    def _allowed(self, scores: Tensor, places: Tensor) -> Tensor:
        """Without what may not stand there; of a slot that may refuse, without the refusal and without silence."""
        first, stop = self.slot.vocabulary
        scores = scores.float().clone()
        barred = [token - first for token in (self.mask_id, *self.slot.forbidden) if first <= token < stop]
        scores[:, barred] = -torch.inf
        if self.slot.unsure is not None and self.whole:
            refusal = torch.tensor(self.slot.unsure.tokens)[places]
            says = ~torch.isin(refusal, torch.tensor(self.slot.ends, dtype=refusal.dtype))
            rows = says.nonzero()[:, 0]
            scores[rows, refusal[rows] - first] = -torch.inf
            scores[places == 0] = scores[places == 0].index_fill(1, torch.tensor(self.slot.ends) - first, -torch.inf)
        return scores

    def _closed(self, one: Hypothesis) -> Hypothesis:
        """Once an end stands and nothing before it is open, padding behind it."""
        said = self._before_end(one.tokens)
        if len(said) == len(one.tokens) or bool((said == self.mask_id).any()):
            return one
        places = (one.tokens == self.mask_id).nonzero()[:, 0]
        return one.put(places, torch.full_like(places, self.padding), torch.zeros(len(places)))

    def _before_end(self, tokens: Tensor) -> Tensor:
        ends = torch.isin(tokens, torch.tensor(self.slot.ends, dtype=tokens.dtype)).nonzero()[:, 0]
        return tokens[: int(ends[0])] if len(ends) else tokens
