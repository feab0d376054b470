"""What speaks for a text besides the model that wrote it: how well it explains what was given.

A picture by how likely the same model would have drawn it, had it been asked to (analysis by synthesis); a recording by
how its letters sound to the speech encoder (CTC). What is not sure of itself is so held against what it is about.
"""

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from runtime.codecs.text import TextCodec
from runtime.diffusion.canvas import Canvas
from runtime.engine.hearing import LayOut
from runtime.engine.prompt import NOTHING_SAID, Content, EncodedImage, EncodedTurn
from runtime.engine.recipe import Recipe
from runtime.engine.rules import ANSWER, PLACE, Claim, asked_as
from runtime.executors.executor import ForwardItem

Asking = Generator[list[ForwardItem], list[Tensor], list[float]]  # yields passes, takes their scores
ALTERNATIVES, DOUBTFUL = 3, 5.0  # answers to what a claim asks besides; nats they may be less likely
UNHEARD = -1e4  # nats, for words that do not fit into the recording at all


class Evidence(Protocol):
    """weight: what a nat of it counts, beside one of the model's own."""

    @property
    def weight(self) -> float: ...

    def gains(self, texts: Sequence[str]) -> Asking:
        """Log-likelihood of what was given under each text, less what is the same for all of them."""
        ...


@dataclass(frozen=True)
class Spelling:
    """logs: (rows, letters) log-probabilities of the encoder; the first letter is CTC's blank."""

    logs: Tensor
    letters: str
    weight: float

    def gains(self, texts: Sequence[str]) -> Asking:
        yield from ()
        return [self._log_likelihood([self.letters.index(c) for c in text if c in self.letters]) for text in texts]

    def _log_likelihood(self, spelt: Sequence[int]) -> float:
        rows, length = torch.tensor([len(self.logs)]), torch.tensor([len(spelt)])
        loss = F.ctc_loss(self.logs[:, None], torch.tensor([spelt], dtype=torch.long), rows, length, reduction="sum")
        return max(-float(loss), UNHEARD)


@dataclass(frozen=True)
class Drawing:
    """shown: the picture. requests: words that would have it drawn, with {answer} and perhaps {a question} in them.

    reads, draws: the recipes that ask about a picture and that draw one; what counts is the first slot of each.
    """

    shown: EncodedImage
    requests: tuple[str, ...]
    weight: float
    reads: Recipe
    draws: Recipe
    lay_out: LayOut
    text: TextCodec

    def gains(self, texts: Sequence[str]) -> Asking:
        """Under the request that explains the picture best, less that under nothing said."""
        told = yield from self._told(texts[0])
        requests = [filled(request, told | {ANSWER: text}) for text in texts for request in self.requests]
        nothing, *others = yield from self._log_likelihoods([NOTHING_SAID, *map(asking, requests)])
        num = len(self.requests)
        return [max(others[i : i + num]) - nothing for i in range(0, len(others), num)]

    def _told(self, text: str) -> Generator[list[ForwardItem], list[Tensor], dict[str, str]]:
        """What the requests ask, answered as explains the picture best together with `text`."""
        asked = list(dict.fromkeys(found for request in self.requests for found in PLACE.findall(request)))
        asked = [question for question in asked if question != ANSWER]
        answers = yield from self._answers(asked)
        ways = [dict(zip(asked, way, strict=True)) for way in product(*answers)]
        if len(ways) == 1:
            return ways[0]
        requests = [filled(self.requests[0], way | {ANSWER: text}) for way in ways]
        likely = yield from self._log_likelihoods([asking(request) for request in requests])
        return max(zip(likely, ways, strict=True), key=lambda found: found[0])[1]

    def _answers(self, asked: Sequence[str]) -> Generator[list[ForwardItem], list[Tensor], list[list[str]]]:
        """The model's own at first sight, several where it is not sure."""
        if not asked:
            return []
        canvases = [self.lay_out(asking(self.shown, question), self.reads) for question in asked]
        scores = yield [_whole(canvas) for canvas in canvases]
        return [self._likely(canvas, table) for canvas, table in zip(canvases, scores, strict=True)]

    def _likely(self, canvas: Canvas, scores: Tensor) -> list[str]:
        """What begins with each likely first token."""
        slot = canvas.slots[0]
        logs = scores.float().log_softmax(-1)
        first = logs[0].topk(ALTERNATIVES)
        texts = []
        for token in first.indices[first.values >= first.values[0] - DOUBTFUL]:
            columns = torch.cat([token[None], logs[1:].argmax(-1)]) + slot.vocabulary[0]
            places = torch.arange(slot.start, slot.start + slot.length)
            texts.append(self.text.decode(canvas.fill(places, columns, torch.ones(slot.length)).said(slot).tolist()))
        return texts

    def _log_likelihoods(
        self, conversations: Sequence[Sequence[EncodedTurn]]
    ) -> Generator[list[ForwardItem], list[Tensor], list[float]]:
        """Of the picture after each of them, of all its codes at once."""
        scores = yield [_whole(self.lay_out(turns, self.draws)) for turns in conversations]
        codes = self.shown.codes.flatten()[:, None]
        return [float(table.float().log_softmax(-1).gather(-1, codes).sum()) for table in scores]


def asking(*contents: Content) -> tuple[EncodedTurn, ...]:
    return (EncodedTurn("user", contents),)


def filled(request: str, told: Mapping[str, str]) -> str:
    """What is told by its name in the places for it."""
    return PLACE.sub(lambda place: told[place[1]], request)


def claimed(question: str, claims: Sequence[Claim]) -> tuple[str, ...]:
    """The requests to draw that an answer to the question makes, {answer} and perhaps {a question} in them still.

    None of them where no claim is about it.
    """
    for claim in claims:
        if found := asked_as(claim.asked, question):
            return tuple(filled(request, _Groups(found)) for request in claim.drawn)
    return ()


class _Groups(dict[str, str]):
    """{1} is the first group of what matched, without braces of its own; every other place stays."""

    def __init__(self, found: re.Match[str]) -> None:
        groups = (re.sub("[{}]", "", group or "") for group in found.groups())
        super().__init__({str(number): group for number, group in enumerate(groups, 1)})

    def __missing__(self, name: str) -> str:
        return "{" + name + "}"


def _whole(canvas: Canvas) -> ForwardItem:
    """A pass for all of the first slot."""
    slot = canvas.slots[0]
    return ForwardItem(canvas, torch.arange(slot.start, slot.start + slot.length), slot.vocabulary)
