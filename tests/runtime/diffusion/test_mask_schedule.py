import json
from pathlib import Path
from typing import Any

import pytest

from runtime.diffusion.mask_schedule import Schedule, num_to_unmask

GOLDEN = Path(__file__).parents[2] / "golden" / "sampler" / "transfer_schedule.json"
RUNS = json.loads(GOLDEN.read_text())


def unmasked_per_step(schedule: Schedule, length: int, steps: int) -> list[int]:
    counts, masked = [], length
    for step in range(steps):
        counts.append(num_to_unmask(schedule, masked, step, steps))
        masked -= counts[-1]
    return counts


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run['max_new_tokens']}in{run['steps']}")
def test_linear_is_the_published_schedule(run: dict[str, Any]) -> None:
    assert unmasked_per_step("linear", run["max_new_tokens"], run["steps"]) == run["unmasked_per_step"]


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize(("length", "steps"), [(1, 1), (1, 4), (3, 12), (16, 4), (100, 12), (100, 99), (257, 64)])
def test_nothing_is_left_after_the_last_step(schedule: Schedule, length: int, steps: int) -> None:
    counts = unmasked_per_step(schedule, length, steps)
    assert sum(counts) == length
    assert min(counts) >= 0


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_step_with_something_open_unmasks_something(schedule: Schedule) -> None:
    assert all(num_to_unmask(schedule, masked, 0, 1000) >= 1 for masked in (1, 2, 50))


def test_cosine_begins_slower_than_linear_and_ends_faster() -> None:
    linear, cosine = unmasked_per_step("linear", 100, 10), unmasked_per_step("cosine", 100, 10)
    assert sum(cosine[:3]) < sum(linear[:3])
    assert sum(cosine[-3:]) > sum(linear[-3:])
    assert cosine == sorted(cosine)


def test_a_step_beyond_the_last_takes_all() -> None:
    assert num_to_unmask("cosine", 7, 12, 12) == 7
