"""From cancel to idle, and memory that stays where it is; `omni bench cancel`."""

import json
import random
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from runtime.benchmarks.reuse import parts_for
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import EMBEDDED, OmniModel, load_model
from runtime.engine.output import EngineOutput, Finished, Started
from runtime.engine.request import GenerationRequest, Turn
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor

TASK = "text_to_image"
WHOLE = 3  # pictures left alone


@dataclass(frozen=True)
class CancelFigures:
    """Milliseconds from the call to the last thing done for the request; a step is one of the same picture.

    ratio: the 99th percentile of the waits over that of the steps, of pictures left alone and of those cancelled.
    Resident memory in MB in the middle and at the end of `requests` answers, and how much each of `sessions` answers in
    the making adds.
    """

    ratio: float
    p50_ms: float
    p99_ms: float
    median_step_ms: float
    p99_step_ms: float
    cancels: int
    requests: int
    resident_before_mb: float
    resident_after_mb: float
    sessions: int
    mb_a_session: float
    threads: int


class TimingExecutor(InProcessExecutor):
    """When each pass began, and when the last one ended."""

    def __init__(self, model: OmniModel) -> None:
        super().__init__(model.backbone, "float32")
        self.starts: list[float] = []
        self.idle_since = 0.0

    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        self.starts.append(time.perf_counter())
        scores = super().forward(items)
        self.idle_since = time.perf_counter()
        return scores


class _Waiter:
    """Wakes who waits for a request to begin and to end."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()
        self.ended_at = 0.0

    def __call__(self, output: EngineOutput) -> None:
        if isinstance(output, Started):
            self.begun.set()
        elif isinstance(output, Finished):
            self.ended_at = time.perf_counter()
            self.ended.set()


def ask(model: OmniModel, index: int) -> GenerationRequest:
    turn = Turn("user", parts_for(TASK, model, index % 5))
    return GenerationRequest(str(index), (turn,), model.recipes[TASK], index, partial_every=0)


def measure_cancel(model: OmniModel, cancels: int = 200, requests: int = 1000, sessions: int = 16) -> CancelFigures:
    """Cancels come at random moments of a picture; then `requests` short texts are answered."""
    executor, rng = TimingExecutor(model), random.Random(0)
    engine = DenoisingEngine(model, executor)
    steps_ms, waits_ms = _whole_picture_steps(engine, executor, model), []
    step_s, picture_steps = statistics.median(steps_ms) / 1000, len(steps_ms) / WHOLE
    try:
        for index in range(cancels):
            waiter = _Waiter()
            engine.submit(ask(model, index), waiter)
            waiter.begun.wait()
            executor.starts.clear()
            time.sleep(rng.uniform(0, 0.8 * picture_steps * step_s))
            if waiter.ended.is_set():
                continue
            asked_at = time.perf_counter()
            engine.cancel(str(index))
            waiter.ended.wait()
            time.sleep(2 * step_s)  # whatever still ran would show
            waits_ms.append(1000 * max(0.0, max(waiter.ended_at, executor.idle_since) - asked_at))
            steps_ms += [1000 * float(gap) for gap in np.diff(executor.starts)]
    finally:
        engine.close()
    before, after = _resident_after(model, requests)
    p99_ms, p99_step_ms = (float(np.quantile(found, 0.99)) for found in (waits_ms, steps_ms))
    return CancelFigures(
        ratio=p99_ms / p99_step_ms,
        p50_ms=float(np.quantile(waits_ms, 0.5)),
        p99_ms=p99_ms,
        median_step_ms=statistics.median(steps_ms),
        p99_step_ms=p99_step_ms,
        cancels=len(waits_ms),
        requests=requests,
        resident_before_mb=before,
        resident_after_mb=after,
        sessions=sessions,
        mb_a_session=_mb_a_session(model, sessions),
        threads=torch.get_num_threads(),
    )


def _whole_picture_steps(engine: DenoisingEngine, executor: TimingExecutor, model: OmniModel) -> list[float]:
    """Milliseconds from one pass to the next, of a few pictures left alone."""
    steps: list[float] = []
    for index in range(WHOLE + 1):
        waiter = _Waiter()
        executor.starts.clear()
        engine.submit(ask(model, index), waiter)
        waiter.ended.wait()
        if index:  # the first one warms up
            steps += [1000 * float(gap) for gap in np.diff(executor.starts)]
    return steps


def _resident_after(model: OmniModel, requests: int) -> tuple[float, float]:
    """MB resident after half of the requests, when caches are full, and after all; no two pictures are equal."""
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone, "float32"), start=False)
    recipe = model.recipes["image_to_text"]
    before = 0.0
    for index in range(requests):
        turn = Turn("user", parts_for("image_to_text", model, index))
        engine.submit(GenerationRequest(str(index), (turn,), recipe, index, partial_every=1), lambda output: None)
        engine.run_commands()
        engine.admit_next()
        while engine.num_active:
            engine.step()
        if index == requests // 2:
            before = resident_mb()
    engine.close()
    return before, resident_mb()


def _mb_a_session(model: OmniModel, sessions: int) -> float:
    """Of answers that are laid out and have made a step."""
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone, "float32"), start=False)
    before = resident_mb()
    for index in range(sessions):
        engine.submit(ask(model, index), lambda output: None)
    engine.run_commands()
    for _ in range(sessions):
        engine.admit_next()
    engine.step()
    after = resident_mb()
    engine.close()
    return (after - before) / sessions


def resident_mb(pid: int | str = "self") -> float:
    """Of a process, this one by default; NaN where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * 4096 / 1e6


@click.command("cancel")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="A model folder.  [default: the embedded one]")
@click.option("--cancels", default=200, show_default=True)
@click.option("--requests", default=1000, show_default=True, help="Answers that memory is watched over.")
@click.option("--threads", default=1, show_default=True, help="Threads of the forward pass.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def cancel(folder: Path | None, cancels: int, requests: int, threads: int, json_file: Path | None) -> None:
    """How soon nothing of a cancelled request runs on."""
    torch.set_num_threads(threads)
    figures = measure_cancel(load_model(folder or EMBEDDED), cancels, requests)
    click.echo(
        f"{figures.cancels} cancels, {figures.threads} threads\n"
        f"cancel to idle   median {figures.p50_ms:.1f} ms, 99 % within {figures.p99_ms:.1f} ms\n"
        f"a step           median {figures.median_step_ms:.1f} ms, 99 % within {figures.p99_step_ms:.1f} ms\n"
        f"ratio            {figures.ratio:.2f} steps\n"
        f"resident         {figures.resident_before_mb:.0f} MB after {figures.requests // 2} requests, "
        f"{figures.resident_after_mb:.0f} MB after {figures.requests}; {figures.mb_a_session:.2f} MB a session"
    )
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
