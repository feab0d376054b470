"""How many positions a step should work on: measured when a server starts.

A larger batch is worth its wait only while it makes positions cheaper. On a processor it hardly does, so steps stay
short and a cancel is quick; a graphics card has its knee where its arithmetic, no longer its memory, is the limit.
"""

import time
from collections.abc import Callable, Sequence

import torch

from runtime.diffusion.canvas import Canvas, Slot
from runtime.executors.executor import Executor, ForwardItem

CANVAS = 128  # positions: about a picture and its prompt
MOST_CANVASES = 32
WORTH = 0.95  # share of the best throughput that is enough
ROUNDS = 3


def knee(timed: Sequence[tuple[int, float]]) -> int:
    """The fewest positions of (positions, seconds) whose throughput is nearly the best."""
    best = max(positions / seconds for positions, seconds in timed)
    return min(positions for positions, seconds in timed if positions / seconds >= WORTH * best)


def measure_budget(
    executor: Executor, vocabulary: tuple[int, int], clock: Callable[[], float] = time.perf_counter
) -> int:
    """Positions a step, by passes over 1, 2, 4 … canvases until more of them no longer make a position cheaper.

    vocabulary: token ids that are scored. The first pass warms up and does not count.
    """
    timed: list[tuple[int, float]] = []
    executor.forward(_items(1, vocabulary))
    count = 1
    while count <= MOST_CANVASES:
        items = _items(count, vocabulary)
        timed.append((count * CANVAS, min(_seconds(executor, items, clock) for _ in range(ROUNDS))))
        if knee(timed) <= count * CANVAS // 4:  # twice as many were tried twice in vain
            break
        count *= 2
    return knee(timed)


def _seconds(executor: Executor, items: Sequence[ForwardItem], clock: Callable[[], float]) -> float:
    began = clock()
    executor.forward(items)
    return max(clock() - began, 1e-9)


def _items(count: int, vocabulary: tuple[int, int]) -> list[ForwardItem]:
    """Canvases of which half is open."""
    half = CANVAS // 2
    slot = Slot("measured", "text", half, half, vocabulary, 0)
    ids, cells = torch.zeros(CANVAS, dtype=torch.long), torch.full((CANVAS,), -1)
    canvases = [Canvas(ids, torch.arange(CANVAS).float(), cells, (slot,), mask_id=-2) for _ in range(count)]
    return [ForwardItem(canvas, torch.arange(half, CANVAS), vocabulary) for canvas in canvases]
