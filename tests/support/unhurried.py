"""An executor that leaves a client time to change its mind."""

import time
from collections.abc import Sequence

from torch import Tensor

from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor

PAUSE_S = 0.02


class UnhurriedExecutor(InProcessExecutor):
    """The real one, with a pause before each step."""

    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        time.sleep(PAUSE_S)
        return super().forward(items)
