"""Many sessions at once beside the same passes without an engine; `omni bench batching`.

The ideal is made by hand: after every step of the engine its passes are run once more, with everything laid out
beforehand, and its sampling and filling is counted as it is. What the engine takes beyond that is scheduling and
telling.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch
from torch import Tensor

from runtime.benchmarks.plots import Panel, draw
from runtime.benchmarks.reuse import parts_for
from runtime.benchmarks.step import BareForward
from runtime.engine.active_response import ActiveResponse
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import EMBEDDED, OmniModel, load_model
from runtime.engine.output import EngineOutput, Finished
from runtime.engine.request import GenerationRequest, Turn
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor

TASKS = ("text_to_image", "image_to_text", "speech_to_text", "text_to_image")  # mixed in this proportion
ROUNDS = 3


@dataclass(frozen=True)
class BatchingFigures:
    """Medians over rounds, the engine and the ideal in turns.

    ratio: the engine's useful tokens a second over the ideal's. overhead: what scheduling and telling add to a step's
    passes and sampling, as a share. by_sessions: (sessions, milliseconds a session and step). by_positions: (positions
    of a canvas, milliseconds a step), one session.
    """

    ratio: float
    overhead: float
    tokens_per_s: float
    ideal_tokens_per_s: float
    sessions: int
    tokens: int
    steps: int
    threads: int
    by_sessions: list[tuple[int, float]]
    by_positions: list[tuple[int, float]]


class NotingExecutor(InProcessExecutor):
    """Remembers every batch it was asked, and how long it took."""

    def __init__(self, model: OmniModel) -> None:
        super().__init__(model.backbone, "float32")
        self.asked: Sequence[ForwardItem] = ()
        self.busy_s = 0.0

    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        began = time.perf_counter()
        scores = super().forward(items)
        self.busy_s += time.perf_counter() - began
        self.asked = items
        return scores


@dataclass(frozen=True)
class Work:
    """One run of the engine over some sessions.

    passes_s, advance_s: of the engine's seconds, those in passes and those in sampling and filling. ideal_s: of the
    same passes by themselves. session_steps: steps of all answers. positions: of the longest canvas.
    """

    seconds: float
    passes_s: float
    advance_s: float
    ideal_s: float
    tokens: int
    steps: int
    session_steps: int
    positions: int


def work(model: OmniModel, sessions: int, tasks: Sequence[str] = TASKS) -> Work:
    """All sessions begin together; from the first step to the last answer."""
    executor = NotingExecutor(model)
    engine = DenoisingEngine(model, executor, start=False)
    finished: list[Finished] = []

    def take(output: EngineOutput) -> None:
        if isinstance(output, Finished):
            finished.append(output)

    for index in range(sessions):
        task = tasks[index % len(tasks)]
        turn = Turn("user", parts_for(task, model, index % 5))
        engine.submit(GenerationRequest(str(index), (turn,), model.recipes[task], index, partial_every=1), take)
    engine.run_commands()
    for _ in range(sessions):
        engine.admit_next()
    advance = _Stopwatch(engine)
    seconds, ideal_s, steps, positions = 0.0, 0.0, 0, 0
    while engine.num_active:
        seconds += _seconds(engine.step)
        ideal_s += _seconds(BareForward.of(model.backbone, executor.asked))
        positions = max(positions, *(len(item.canvas) for item in executor.asked))
        steps += 1
    engine.close()
    usage = [answer.usage for answer in finished]
    tokens = sum(one.output_text + one.output_image + one.output_speech for one in usage)
    session_steps = sum(answer.steps for answer in finished)
    return Work(seconds, executor.busy_s, advance.seconds, ideal_s, tokens, steps, session_steps, positions)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class _Stopwatch:
    """Times the denoising of an engine that is turned by hand."""

    def __init__(self, engine: DenoisingEngine) -> None:
        self.seconds = 0.0
        denoise = engine._denoise

        def timed(response: ActiveResponse, scores: list[Tensor]) -> bool:
            began = time.perf_counter()
            done = denoise(response, scores)
            self.seconds += time.perf_counter() - began
            return done

        engine._denoise = timed  # type: ignore[method-assign]


def measure_batching(model: OmniModel, sessions: int = 16, rounds: int = ROUNDS, most: int = 64) -> BatchingFigures:
    """most: sessions of the largest run that the curve is drawn from."""
    work(model, 2)  # warm
    runs = [work(model, sessions) for _ in range(rounds)]
    seconds = statistics.median(run.seconds for run in runs)
    ratio = statistics.median((run.ideal_s + run.advance_s) / run.seconds for run in runs)
    overhead = statistics.median(run.seconds / (run.passes_s + run.advance_s) - 1 for run in runs)
    counts = [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= most]
    by_sessions = [(count, _session_step_ms(work(model, count, ("text_to_image",)))) for count in counts]
    alone = [work(model, 1, (task,)) for task in dict.fromkeys(TASKS)]
    by_positions = sorted((run.positions, _session_step_ms(run)) for run in alone)
    first = runs[0]
    return BatchingFigures(
        ratio=ratio,
        overhead=overhead,
        tokens_per_s=first.tokens / seconds,
        ideal_tokens_per_s=first.tokens / seconds / ratio,
        sessions=sessions,
        tokens=first.tokens,
        steps=first.steps,
        threads=torch.get_num_threads(),
        by_sessions=by_sessions,
        by_positions=by_positions,
    )


def _session_step_ms(run: Work) -> float:
    return 1000 * run.seconds / run.session_steps


@click.command("batching")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="A model folder.  [default: the embedded one]")
@click.option("--sessions", default=16, show_default=True, help="Sessions at once.")
@click.option("--most", default=64, show_default=True, help="Sessions of the largest run of the curve.")
@click.option("--threads", default=1, show_default=True, help="Threads of the forward pass.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Draw the curves here (PNG).")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def batching(
    folder: Path | None, sessions: int, most: int, threads: int, plot_file: Path | None, json_file: Path | None
) -> None:
    """Many mixed sessions beside an ideal batch of the same work."""
    torch.set_num_threads(threads)
    figures = measure_batching(load_model(folder or EMBEDDED), sessions, most=most)
    click.echo(
        f"{figures.sessions} sessions, {figures.tokens} tokens in {figures.steps} steps, {figures.threads} threads\n"
        f"useful tokens a second   {figures.tokens_per_s:8.0f}\n"
        f"ideal                    {figures.ideal_tokens_per_s:8.0f}\n"
        f"ratio                    {figures.ratio:8.3f}\n"
        f"scheduling and telling   {figures.overhead:+8.1%}"
    )
    for count, milliseconds in figures.by_sessions:
        click.echo(f"{count:3} sessions   {milliseconds:7.2f} ms a session and step")
    if plot_file is not None:
        draw(
            [
                Panel("cost of a session's step", "sessions", "ms", {"pictures": figures.by_sessions}),
                Panel("cost of a step", "positions of the canvas", "ms", {"one session": figures.by_positions}),
            ],
            plot_file,
        )
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
