"""An executor that plays a script: for tests of everything above the executors, without a network."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from runtime.diffusion.canvas import Slot
from runtime.executors.executor import ForwardItem

Hook = Callable[[Sequence[ForwardItem]], None]


class ScriptedExecutor:
    """Implements Executor: every slot is given its scripted tokens, the first positions surest.

    answers: slot name -> token ids, from the slot's start; a shorter answer is continued with its last token, a slot
        that is not named takes the first token of its vocabulary.
    before_forward: called with the items of every pass; it may count, wait or raise.
    """

    def __init__(self, answers: Mapping[str, Sequence[int]], before_forward: Hook | None = None) -> None:
        self._answers = {name: list(tokens) for name, tokens in answers.items()}
        self._before_forward = before_forward
        self.num_passes = 0

    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        self.num_passes += 1
        if self._before_forward is not None:
            self._before_forward(items)
        return [self._scores(item) for item in items]

    def _scores(self, item: ForwardItem) -> Tensor:
        first, stop = item.vocabulary
        scores = torch.zeros(len(item.rows), stop - first)
        for i, position in enumerate(item.rows.tolist()):
            slot = _slot_at(item.canvas.slots, position)
            offset = position - slot.start
            scores[i, self._token(slot, offset) - first] = 20.0 - 10.0 * offset / slot.length
        return scores

    def _token(self, slot: Slot, offset: int) -> int:
        answer = self._answers.get(slot.name) or [slot.vocabulary[0]]
        return answer[min(offset, len(answer) - 1)]


def _slot_at(slots: Sequence[Slot], position: int) -> Slot:
    for slot in slots:
        if slot.start <= position < slot.start + slot.length:
            return slot
    raise ValueError(f"position {position} is in none of the slots {', '.join(slot.name for slot in slots)}")
