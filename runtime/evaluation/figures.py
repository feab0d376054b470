"""Figures of a report card: a value with its 95 % interval, and what stands beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runtime.evaluation.word_errors import edit_distance


@dataclass(frozen=True)
class Figure:
    """One line of the report card. `value` in 0 … 1; `low`, `high` bound it with 95 % confidence."""

    measure: str
    value: float
    num: int
    low: float
    high: float
    ceiling: float | None = None
    chance: float | None = None

    def __str__(self) -> str:
        bounds = f"[{self.low:.1%}, {self.high:.1%}]"
        known = {"ceiling": self.ceiling, "chance": self.chance}
        beside = [f"{name} {value:.1%}" for name, value in known.items() if value is not None]
        return f"{self.measure:<44} {self.value:>7.1%}  {bounds:<16} n={self.num:<4} {', '.join(beside)}"


def share(measure: str, rights: Sequence[bool], **beside: float | None) -> Figure:
    """A share of right answers with its Wilson interval."""
    n, p, z = len(rights), sum(rights) / len(rights), 1.96
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Figure(measure, p, n, max(0.0, middle - half), min(1.0, middle + half), **beside)


def word_errors(measure: str, pairs: Sequence[tuple[str, str]]) -> Figure:
    """Word error rate with an interval from resampling the utterances."""
    errors = np.array([edit_distance(said.split(), heard.split()) for said, heard in pairs])
    words = np.array([len(said.split()) for said, _ in pairs])
    draws = np.random.default_rng(0).integers(0, len(pairs), (1000, len(pairs)))
    low, high = np.quantile(errors[draws].sum(1) / words[draws].sum(1), (0.025, 0.975))
    return Figure(measure, float(errors.sum() / words.sum()), len(pairs), float(low), float(high))
