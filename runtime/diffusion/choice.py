"""What is weighed as a whole: a slot that says one of a few things, and what is said instead of an unsure answer."""

import torch
from torch import Tensor

from runtime.diffusion.canvas import Canvas, Choice, Slot


def choose(canvas: Canvas, slot: Slot, scores: Tensor) -> Canvas:
    """The canvas with the best of the slot's choices in it, among those that agree with what stands there already.

    scores: (open positions, length of slot.vocabulary), rows in order of position, all of one pass. A choice is worth
    the mean log-probability of its tokens where they are open, its first end with them: a longer one is not worth less
    for its length. The confidence of each position is the share of the chosen among the choices.
    """
    places = canvas.masked[slot.positions].nonzero()[:, 0]
    worth = torch.stack([_worth(choice, slot, scores, places) for choice in slot.choices])
    agreeing = torch.tensor([_agrees(choice, canvas, slot) for choice in slot.choices])
    if bool(agreeing.any()):
        worth = worth.masked_fill(~agreeing, -torch.inf)
    best = int(worth.argmax())
    tokens = torch.tensor(slot.choices[best].tokens)[places]
    share = torch.softmax(worth, 0)[best]
    return canvas.fill(places + slot.start, tokens, share.expand(len(places)))


def unsure(canvas: Canvas, slot: Slot, scores: Tensor, margin: float) -> Canvas | None:
    """The canvas with `slot.unsure` in the slot, if all of it is open and its likeliest answer is not worth `margin`
    more; else None.

    scores: (slot.length, length of slot.vocabulary), of one pass. Worth is as in `choose`, in nats a token.
    """
    if slot.unsure is None or canvas.num_masked(slot) < slot.length:
        return None
    places = torch.arange(slot.length)
    columns = untorn(canvas, slot, scores).argmax(-1)
    likeliest = Choice("", tuple((columns + slot.vocabulary[0]).tolist()))
    more = _worth(likeliest, slot, scores, places) - _worth(slot.unsure, slot, scores, places)
    if more >= margin:
        return None
    tokens = torch.tensor(slot.unsure.tokens)
    own = torch.softmax(scores.float(), -1).gather(-1, (tokens - slot.vocabulary[0])[:, None])[:, 0]
    return canvas.fill(places + slot.start, tokens, own)


def untorn(canvas: Canvas, slot: Slot, scores: Tensor) -> Tensor:
    """Scores of an open slot, without the tokens of `slot.unsure` where the likeliest text has some of them in a row.

    What is likeliest at each position alone may begin as an answer and, past its end, go on as the longer refusal.
    """
    if slot.unsure is None or canvas.num_masked(slot) < slot.length:
        return scores
    tokens = torch.tensor(slot.unsure.tokens)
    columns = tokens - slot.vocabulary[0]
    says = ~torch.isin(tokens, torch.tensor(slot.ends, dtype=tokens.dtype))
    torn = says & (scores.argmax(-1) == columns)
    if torch.equal(torn, says) or not (torn[1:] & torn[:-1]).any():
        return scores
    rows = torn.nonzero()[:, 0]
    barred = scores.clone()
    barred[rows, columns[rows]] = -torch.inf
    return barred


def not_empty(canvas: Canvas, slot: Slot, scores: Tensor) -> Tensor:
    """The scores without an end where a slot that may say `slot.unsure` begins: to say nothing is no answer.

    Surer ends behind an open first word would have it end before it, too.
    """
    if slot.unsure is None or not bool(canvas.masked[slot.start]):
        return scores
    barred = scores.clone()
    barred[0, torch.tensor(slot.ends, dtype=torch.long) - slot.vocabulary[0]] = -torch.inf
    return barred


def _worth(choice: Choice, slot: Slot, scores: Tensor, places: Tensor) -> Tensor:
    tokens = torch.tensor(choice.tokens)
    ends = torch.isin(tokens, torch.tensor(slot.ends, dtype=tokens.dtype)).nonzero()[:, 0]
    said = int(ends[0]) + 1 if len(ends) else len(tokens)
    rows = (places < said).nonzero()[:, 0]
    columns = tokens[places[rows]] - slot.vocabulary[0]
    own = torch.log_softmax(scores[rows].float(), -1).gather(-1, columns[:, None])[:, 0]
    return own.mean() if len(own) else torch.zeros(())


def _agrees(choice: Choice, canvas: Canvas, slot: Slot) -> bool:
    stands = canvas.tokens_of(slot)
    return bool(((stands == canvas.mask_id) | (stands == torch.tensor(choice.tokens))).all())
