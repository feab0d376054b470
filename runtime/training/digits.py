"""What codes have in common: codes that share a digit learn together.

A picture code is eleven signs, a speech code five digits of four. As rows of one embedding table they know nothing of
each other, so what is learnt of one says nothing of the next. Here every digit has a vector of its own that counts as
part of the row of each code that has it: the network stays what it is, and what is seen of few codes is learnt of all.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from runtime.codecs.vocabulary import Vocabulary
from runtime.models.speech_codec import SpeechCodecConfig

SPEECH_LEVELS = SpeechCodecConfig().levels


def digits_of(vocabulary: Vocabulary) -> Tensor:
    """(ids, digits) float: which digits each id has; text has none."""
    first_image, stop_image = vocabulary.image
    first_speech, stop_speech = vocabulary.speech
    num_bits = (stop_image - first_image - 1).bit_length()
    numbers = torch.arange(stop_image - first_image)
    signs = (numbers[:, None] >> torch.arange(num_bits)) % 2 * 2.0 - 1.0
    columns = [F.pad(signs, (0, 0, first_image, len(vocabulary) - stop_image))]
    numbers = torch.arange(stop_speech - first_speech)
    for levels in SPEECH_LEVELS if len(numbers) else ():
        one_hot = F.one_hot(numbers % levels, levels).float()
        columns.append(F.pad(one_hot, (0, 0, first_speech, len(vocabulary) - stop_speech)))
        numbers = numbers // levels
    return torch.cat(columns, 1)


class SharedDigits(torch.optim.Optimizer):
    """Steps the rows of `table` together that share digits, beside the optimiser that steps each for itself.

    It is AdamW on vectors (digits, width) of which every row has its sum as a part: their gradient is that of the rows,
    their steps are added to the rows.
    """

    def __init__(self, table: Tensor, digits: Tensor, lr: float) -> None:
        super().__init__([table], {"lr": lr})
        self._table, self._digits = table, digits
        self._vectors = torch.zeros(digits.shape[1], table.shape[1])
        self._inner = torch.optim.AdamW([self._vectors], lr=lr, betas=(0.9, 0.98), weight_decay=0.0)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        if self._table.grad is None:
            return
        self._inner.param_groups[0]["lr"] = self.param_groups[0]["lr"]
        self._vectors.zero_()
        self._vectors.grad = self._digits.T @ self._table.grad
        self._inner.step()
        self._table.add_(self._digits @ self._vectors)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"inner": self._inner.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._inner.load_state_dict(state_dict["inner"])
        super().load_state_dict({name: part for name, part in state_dict.items() if name != "inner"})
