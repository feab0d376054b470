"""How many positions a denoise step unmasks."""

import math
from typing import Literal

import torch

Schedule = Literal["linear", "cosine"]

LAST_TIME = 1e-3  # time runs from 1 down to here, as published


def masked_share(schedule: Schedule, time: float) -> float:
    """Share of positions still masked at `time`, which runs from 1 (all masked) down to 0 (none)."""
    return time if schedule == "linear" else math.cos(math.pi / 2 * (1 - time))


def step_times(step: int, steps: int, last_time: float = LAST_TIME) -> torch.Tensor:
    """The times at which a step begins and ends: (2,) float32."""
    return torch.linspace(1, last_time, steps + 1)[step : step + 2]


def num_to_unmask(schedule: Schedule, num_masked: int, step: int, steps: int, last_time: float = LAST_TIME) -> int:
    """Positions to unmask in step `step` (0 … steps - 1) when `num_masked` are open: at least one, all in the last.

    The published rule max(1, int(m * (1 - s / t))), with single precision times 1 … `last_time` in equal steps
    ("linear"); "cosine" puts the same rule on a cosine of the time, slow at first and fast at the end.
    """
    if step >= steps - 1:
        return num_masked
    times = step_times(step, steps, last_time)
    if schedule == "cosine":
        times = torch.tensor([masked_share(schedule, float(time)) for time in times])
    now, then = times
    return min(num_masked, max(1, int(num_masked * (1 - then / now))))
