from collections.abc import Sequence

import pytest
import torch

from runtime.engine.budget import CANVAS, MOST_CANVASES, knee, measure_budget
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor
from tests.support.tiny_model import tiny_model

MODEL = tiny_model()


class Machine:
    """Implements Executor on a machine whose passes take `fixed_s` and `canvas_s` for each canvas."""

    def __init__(self, fixed_s: float, canvas_s: float) -> None:
        self.now_s, self._fixed_s, self._canvas_s = 0.0, fixed_s, canvas_s
        self.most = 0

    def clock(self) -> float:
        return self.now_s

    def forward(self, items: Sequence[ForwardItem]) -> list[torch.Tensor]:
        self.now_s += self._fixed_s + self._canvas_s * len(items)
        self.most = max(self.most, len(items))
        return []


def test_the_knee_is_where_more_is_hardly_cheaper() -> None:
    assert knee([(1, 1.0), (2, 2.0), (4, 4.0)]) == 1
    assert knee([(1, 1.0), (2, 1.1), (4, 1.3), (8, 2.58)]) == 4


@pytest.mark.parametrize(
    ("fixed_s", "canvas_s", "canvases"),
    [(0.0, 1.0, 1), (0.01, 1.0, 1), (1.0, 1.0, 16), (1.0, 0.001, MOST_CANVASES)],
)
def test_what_a_machine_gains_by_batches_decides(fixed_s: float, canvas_s: float, canvases: int) -> None:
    machine = Machine(fixed_s, canvas_s)
    assert measure_budget(machine, (0, 9), machine.clock) == canvases * CANVAS


def test_a_processor_is_not_tried_for_long() -> None:
    machine = Machine(0.0, 1.0)
    measure_budget(machine, (0, 9), machine.clock)
    assert machine.most == 4


def test_it_runs_on_a_real_network() -> None:
    executor = InProcessExecutor(MODEL.backbone, "float32")
    assert measure_budget(executor, MODEL.vocabulary.image) % CANVAS == 0
