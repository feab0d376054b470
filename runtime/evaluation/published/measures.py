"""Figures with their intervals, and the report of a run: a table for people, a file for programs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

DRAWS = 1000  # of a bootstrap interval


class Measure(msgspec.Struct, frozen=True):
    """One figure. `num`: items behind it. low, high: 95 % interval, None where there is none.

    unit: "ratio" (shown as per cent), or what the value counts.
    """

    name: str
    value: float
    num: int
    low: float | None = None
    high: float | None = None
    unit: str = "ratio"

    def __str__(self) -> str:
        bounds = "" if self.low is None or self.high is None else f"[{self._show(self.low)}, {self._show(self.high)}]"
        unit = "" if self.unit == "ratio" else self.unit
        return f"{self.name:<40} {self._show(self.value):>9} {unit:<8} {bounds:<20} n={self.num}".rstrip()

    def _show(self, value: float) -> str:
        return f"{value:.1%}" if self.unit == "ratio" else f"{value:.2f}"


class Report(msgspec.Struct, frozen=True):
    """All of a run. `seconds`: time the answers took. `settings`: everything they were made and judged with."""

    task: str
    model: str
    recipe: str
    num: int
    seed: int
    seconds: float
    measures: tuple[Measure, ...]
    settings: dict[str, Any]

    def __str__(self) -> str:
        title = f"{self.task}: {self.model}, recipe {self.recipe}, n={self.num}, {self.seconds:.1f} s"
        return "\n".join((title, *map(str, self.measures)))

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


Chosen = NDArray[np.int64]
Statistic = Callable[[Chosen], NDArray[np.float64]]
"""Takes indices into items, (draws, items), to a value for each draw, (draws,)."""


def resampled(statistic: Statistic, num: int, seed: int = 0) -> NDArray[np.float64]:
    """(DRAWS,) values of a statistic of `num` items, each time of as many items drawn with repetition."""
    rng = np.random.default_rng(seed)
    # A few at a time: all draws of a large benchmark at once would take gigabytes.
    return np.concatenate([statistic(rng.integers(0, num, (DRAWS // 10, num))) for _ in range(10)])


def of_all(statistic: Statistic, num: int) -> float:
    """The value of a statistic of all items."""
    return float(statistic(np.arange(num)[None])[0])


def interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def bootstrapped(name: str, statistic: Statistic, num: int, unit: str = "ratio") -> Measure:
    """A statistic of `num` items, with its bootstrap interval from two items on."""
    value = of_all(statistic, num)
    if num < 2:
        return Measure(name, value, num, unit=unit)
    return Measure(name, value, num, *interval(resampled(statistic, num)), unit=unit)


def average(name: str, values: NDArray[np.float64], unit: str = "ratio") -> Measure:
    """A mean with its interval. Raises ValueError without values."""
    if not len(values):
        raise ValueError(f"{name}: there is nothing to average")
    return bootstrapped(name, lambda chosen: values[chosen].mean(-1), len(values), unit)
