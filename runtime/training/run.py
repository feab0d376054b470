"""A training run on disk: resumable from any kill, with progress, an ETA and a curve.

A run is a folder: `checkpoint.pt` (weights, optimiser, step, random state), `history.jsonl`, `curve.png`.
"""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

SAVE_EVERY_S = 180.0
REPORT_EVERY_S = 30.0


@dataclass
class TrainingRun:
    """Drives `total_steps` optimiser steps of one network.

    The learning rates the optimisers were made with are peaks: each warms up over `warmup` steps, stays, and from the
    share `decay_from` of the run on falls in a line to 3 % of itself.
    """

    folder: Path
    network: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    total_steps: int
    warmup: int = 100
    decay_from: float = 0.2
    step: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        checkpoint = self.folder / "checkpoint.pt"
        if checkpoint.exists():
            saved: dict[str, Any] = torch.load(checkpoint, weights_only=True)
            if "step" not in saved:  # parts of a finished model, not a run
                self.network.load_state_dict(saved["network"], strict=False)
                return
            self.network.load_state_dict(saved["network"])
            for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(state)
            self.step = saved["step"]
            self.history = [json.loads(line) for line in (self.folder / "history.jsonl").read_text().splitlines()]
            print(f"{self.folder.name}: going on from step {self.step}", flush=True)

    @property
    def progress(self) -> float:
        return self.step / self.total_steps

    def rng(self) -> random.Random:
        """Draws for the current step: the same after a resume as without one."""
        return random.Random(f"{self.folder.name}/{self.step}")

    def train(
        self, loss_of: Callable[[random.Random], dict[str, torch.Tensor]], report: Callable[[], dict[str, float]]
    ) -> None:
        """`loss_of` returns named losses of one batch, "loss" is what is minimised; `report` adds measurements."""
        started = last_saved = last_report = time.monotonic()
        first_step = self.step
        sums: dict[str, list[float]] = {}
        self.network.train()
        for _ in self._steps():
            rng = self.rng()
            torch.manual_seed(rng.getrandbits(32))
            losses = loss_of(rng)
            self.network.zero_grad(set_to_none=True)
            losses["loss"].backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            for optimizer in self.optimizers:
                optimizer.step()
            self.step += 1
            for name, value in losses.items():
                sums.setdefault(name, []).append(float(value.detach()))
            now = time.monotonic()
            if now - last_report > REPORT_EVERY_S or self.step == self.total_steps:
                rate = (self.step - first_step) / (now - started)
                entry = {"step": float(self.step)} | {k: float(np.mean(v)) for k, v in sums.items()}
                due = now - last_saved > SAVE_EVERY_S or self.step == self.total_steps
                if due:
                    self.network.eval()
                    entry |= report()
                    self.network.train()
                self._record(entry, rate)
                if due:
                    self.save()
                    last_saved = time.monotonic()
                sums, last_report = {}, time.monotonic()

    def _steps(self) -> Iterator[int]:
        while self.step < self.total_steps:
            warm = min(1.0, (self.step + 1) / self.warmup)
            decay = 1.0 - 0.97 * max(0.0, self.progress - self.decay_from) / max(1e-9, 1.0 - self.decay_from)
            for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
                for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                    group["lr"] = peak * warm * decay
            yield self.step

    def _record(self, entry: dict[str, float], rate: float) -> None:
        self.history.append(entry)
        with (self.folder / "history.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")
        eta = (self.total_steps - self.step) / rate / 60
        figures = "  ".join(f"{k} {v:.4g}" for k, v in entry.items() if k != "step")
        print(
            f"{self.folder.name} {self.step}/{self.total_steps}  {rate:.2f} steps/s  ETA {eta:.1f} min  {figures}",
            flush=True,
        )

    def save(self) -> None:
        """Written beside and renamed, so that a kill never leaves half a checkpoint."""
        path = self.folder / "checkpoint.pt"
        state = {
            "network": self.network.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
        }
        torch.save(state, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
        plot_curves(self.history, self.folder / "curve.png")


def plot_curves(history: list[dict[str, float]], path: Path) -> None:
    """One small panel a figure, over steps."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = sorted({name for entry in history for name in entry} - {"step"})
    if not names:
        return
    figure, axes = pyplot.subplots(1, len(names), figsize=(3.2 * len(names), 2.6), squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        points = [(entry["step"], entry[name]) for entry in history if name in entry]
        axis.plot(*zip(*points, strict=True))
        axis.set_title(name, fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot.close(figure)
