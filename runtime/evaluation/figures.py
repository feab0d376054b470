"""Figures of a report card: a value with its 95 % interval, and what stands beside it."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from runtime.evaluation.wanted import WANTED, Wanted
from runtime.evaluation.word_errors import edit_distance


@dataclass(frozen=True)
class Figure:
    """One line of the report card. `value` in 0 … 1 unless `unit` says of what; `low`, `high` bound it with 95 %
    confidence. ceiling: what the judge says of the real thing. chance: what an answer at random would get.
    """

    measure: str
    value: float
    num: int
    low: float
    high: float
    ceiling: float | None = None
    chance: float | None = None
    unit: str = "%"

    @property
    def wanted(self) -> Wanted | None:
        return WANTED.get(self.measure)

    def told(self, value: float) -> str:
        """A value in this figure's unit, as in "74.9 %" or "4.12"."""
        return f"{100 * value:.1f} %" if self.unit == "%" else f"{value:.2f}"

    def __str__(self) -> str:
        bounds = f"[{self.told(self.low)}, {self.told(self.high)}]"
        known = {"ceiling": self.ceiling, "chance": self.chance}
        beside = [f"{name} {self.told(value)}" for name, value in known.items() if value is not None]
        beside += [] if self.wanted is None else [f"wanted {self.wanted}"]
        return f"{self.measure:<52} {self.told(self.value):>8}  {bounds:<18} n={self.num:<4} {', '.join(beside)}"


def share(measure: str, rights: Sequence[bool], **beside: float | None) -> Figure:
    """A share of right answers with its Wilson interval."""
    n, p, z = len(rights), sum(rights) / len(rights), 1.96
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Figure(measure, p, n, max(0.0, middle - half), min(1.0, middle + half), **beside)  # type: ignore[arg-type]


def word_errors(measure: str, pairs: Sequence[tuple[str, str]], ceiling: float | None = None) -> Figure:
    """Word error rate over (said, heard) pairs."""
    errors = np.array([edit_distance(said.split(), heard.split()) for said, heard in pairs])
    words = np.array([len(said.split()) for said, _ in pairs])
    return _resampled(measure, len(pairs), lambda rows: errors[rows].sum(-1) / words[rows].sum(-1), ceiling=ceiling)


def mean(measure: str, values: Sequence[float], unit: str, ceiling: float | None = None) -> Figure:
    """A mean of something that is no share."""
    found = np.array(values)
    return _resampled(measure, len(values), lambda rows: found[rows].mean(-1), ceiling=ceiling, unit=unit)


def _resampled(measure: str, num: int, rate: Callable[[np.ndarray], np.ndarray], **beside: Any) -> Figure:
    """With an interval from resampling the answers. rate: of chosen rows, (…, n) -> (…,)."""
    low, high = np.quantile(rate(np.random.default_rng(0).integers(0, num, (1000, num))), (0.025, 0.975))
    return Figure(measure, float(rate(np.arange(num))), num, float(low), float(high), **beside)


def as_json(figures: Sequence[Figure]) -> str:
    """The figures by measure, each with what is wanted of it."""
    rows = {}
    for figure in figures:
        wanted = figure.wanted
        reached = None if wanted is None else wanted.reached(figure.value, figure.ceiling)
        rows[figure.measure] = asdict(figure) | {"wanted": wanted and asdict(wanted), "reached": reached}
    return json.dumps(rows, indent=2) + "\n"


def write_figures(figures: Sequence[Figure], path: Path | None) -> None:
    """As JSON, if a file is wanted."""
    if path is not None:
        path.write_text(as_json(figures), encoding="utf-8")


def figure_of(row: Mapping[str, Any]) -> Figure:
    """A row of `as_json`."""
    return Figure(**{name: row[name] for name in Figure.__dataclass_fields__ if name in row})
