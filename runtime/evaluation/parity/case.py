"""A golden case and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class Comparison:
    """What a case found, comparison by comparison.

    num_exact, num_close: comparisons that held. nearest: what came nearest to its tolerance, as a share and in words.
    """

    num_exact: int = 0
    num_close: int = 0
    nearest: tuple[float, str] = (-1.0, "")
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """All that failed, or how near to failing it was."""
        if self.failures:
            return "; ".join(self.failures)
        exact = f"{self.num_exact} exact" if self.num_close else "exact"
        close = f"{self.num_close} within tolerance, at most {self.nearest[1]}" if self.num_close else ""
        return ", ".join(filter(None, [exact if self.num_exact else "", close])) or "nothing was compared"

    @property
    def passed(self) -> bool:
        """Whether there was a comparison, and all held."""
        return self.num_exact + self.num_close > 0 and not self.failures

    def exact(self, what: str, got: Tensor | Sequence[int], want: Tensor | Sequence[int]) -> None:
        """Integers, all of which must be the same."""
        ours, golden = torch.as_tensor(got), torch.as_tensor(want)
        if ours.shape != golden.shape:
            self._fail(f"{what}: shape {tuple(ours.shape)} instead of {tuple(golden.shape)}")
            return
        differ = (ours != golden).flatten().nonzero()[:, 0]
        if len(differ):
            first = int(differ[0])
            values = f"{ours.flatten()[first].item()} instead of {golden.flatten()[first].item()}"
            self._fail(f"{what}: {len(differ)} of {golden.numel()} differ, the first at {first}: {values}")
        else:
            self.num_exact += 1

    def close(self, what: str, got: Tensor, want: Tensor, atol: float, rtol: float = 0.0) -> None:
        """Numbers within `atol + rtol * |want|`; NaN never is."""
        if got.shape != want.shape:
            self._fail(f"{what}: shape {tuple(got.shape)} instead of {tuple(want.shape)}")
            return
        ours, golden = got.double(), want.double()
        difference = (ours - golden).abs()
        difference = torch.where(ours == golden, 0.0, difference)  # equal infinities
        bound = atol + rtol * golden.abs() if rtol else torch.full_like(golden, atol)
        largest = float(difference.max()) if difference.numel() else 0.0
        allowed = f"{atol:.0e}" + (f" + {rtol:.0e} of the value" if rtol else "")
        said = f"{largest:.1e} of {allowed} allowed ({what})"
        if bool((difference <= bound).all()):
            self.num_close += 1
            share = float((difference / bound).nan_to_num().max()) if difference.numel() else 0.0
            self.nearest = max(self.nearest, (share, said))
        else:
            self._fail(said)

    def same(self, what: str, got: object, want: object) -> None:
        """Plain values that must be equal."""
        if got == want:
            self.num_exact += 1
        else:
            self._fail(f"{what}: {_short(got)} instead of {_short(want)}")

    def _fail(self, sentence: str) -> None:
        self.failures.append(sentence)


@dataclass(frozen=True)
class Case:
    """name: "part/case". check: compares ours with the golden values; whatever it raises fails the case."""

    name: str
    check: Callable[[Comparison], None]


@dataclass(frozen=True)
class Outcome:
    name: str
    passed: bool
    said: str

    def __str__(self) -> str:
        return f"{'pass' if self.passed else 'FAIL'}  {self.name}: {self.said}"


def run(case: Case) -> Outcome:
    comparison = Comparison()
    try:
        with torch.inference_mode():
            case.check(comparison)
    except Exception as error:  # noqa: BLE001 - one case that breaks must not hide the others
        return Outcome(case.name, False, f"{type(error).__name__}: {error}")
    return Outcome(case.name, comparison.passed, str(comparison))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"
