"""A mixed load in simulated time; `omni bench load`.

The engine is the real one, turned by hand on a clock of its own; its executor plays a script and lets every pass take
what such a pass takes by a cost model. Three ways to serve the same arrivals: one request at a time with all its steps;
all at once with all their steps; all at once, each with its deadline, which buys it as many steps as there is time for.
"""

import heapq
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Literal

import click
import torch
from torch import Tensor

from runtime.benchmarks.plots import Panel, draw
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import EMBEDDED, OmniModel, load_model
from runtime.engine.output import EngineOutput, Finished, Started
from runtime.engine.recipe import PICTURE, REPLY, Recipe, SlotRecipe
from runtime.engine.request import GenerationRequest, TextPart, Turn
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor
from runtime.executors.scripted import ScriptedExecutor

Policy = Literal["first come", "fixed steps", "deadlines"]
POLICIES: tuple[Policy, ...] = ("first come", "fixed steps", "deadlines")
RATES = (0.5, 1.0, 2.0, 4.0)  # arrivals a second
INTERRUPTED = 0.25  # of voice turns: the speaker goes on talking


@dataclass(frozen=True)
class Kind:
    """What is asked for: its share of the load, its canvas and how soon it is due."""

    name: str
    share: float
    deadline_ms: int
    slots: tuple[SlotRecipe, ...]


# The embedded model has no speech codes: a slot as long in picture tokens stands in. Scripts are sure of everything.
TEXT = replace(REPLY, commit="schedule")
SOUND = replace(PICTURE, guidance_scale=0.0, confidence_noise=0.0, temperature=0.0)
KINDS = (
    Kind("voice", 0.40, 1000, (replace(TEXT, steps=4), replace(SOUND, steps=64))),
    Kind("picture", 0.15, 4000, (replace(SOUND, steps=64),)),
    Kind("recognition", 0.20, 600, (replace(TEXT, steps=16),)),
    Kind("speaking", 0.25, 600, (replace(SOUND, steps=40),)),
)


@dataclass(frozen=True)
class Cost:
    """Seconds of a pass: a fixed part and one for each position. fixed_s, position_s."""

    fixed_s: float
    position_s: float

    def of(self, items: Sequence[ForwardItem]) -> float:
        canvases = {id(item.canvas): len(item.canvas) for item in items}
        return self.fixed_s * len(canvases) + self.position_s * sum(canvases.values())


@dataclass(frozen=True)
class Arrival:
    at_s: float
    kind: Kind
    interrupted_after_s: float | None
    seed: int


@dataclass(frozen=True)
class LoadFigures:
    """Shares of requests (but those interrupted) that ended by their deadline; steps as a share of the recipe's.

    ratio: met with deadlines over met first come first served, at the highest rate where the latter meets any, else at
    the lowest.
    """

    ratio: float
    rates: Sequence[float]
    met: dict[str, list[float]]
    steps: dict[str, list[float]]
    cost: Cost
    seconds: float


class _Clock:
    """Time that passes only in passes, and while there is nothing to do."""

    def __init__(self, cost: Cost) -> None:
        self.now_s, self._cost = 0.0, cost

    def __call__(self) -> float:
        return self.now_s

    def note(self, items: Sequence[ForwardItem]) -> None:
        self.now_s += self._cost.of(items)


def arrivals(rate: float, seconds: float, seed: int) -> list[Arrival]:
    """Poisson arrivals; the same for every policy."""
    rng, found, at_s = random.Random(f"{seed}/{rate}"), list[Arrival](), 0.0
    while (at_s := at_s + rng.expovariate(rate)) < seconds:
        kind = rng.choices(KINDS, [kind.share for kind in KINDS])[0]
        interrupted = kind.name == "voice" and rng.random() < INTERRUPTED
        found.append(Arrival(at_s, kind, rng.uniform(0.1, 1.0) if interrupted else None, rng.getrandbits(30)))
    return found


class Simulation:
    """One policy over one list of arrivals."""

    def __init__(self, model: OmniModel, policy: Policy, cost: Cost, load: Sequence[Arrival]) -> None:
        self.policy, self.load = policy, load
        self.clock = _Clock(cost)
        self.engine = DenoisingEngine(
            model, ScriptedExecutor({}, self.clock.note), clock=self.clock, start=False
        )  # the script is not asked for its answers, only for its passes
        self.ended: dict[int, tuple[float, Finished]] = {}
        self._waiting: list[int] = []
        self._interrupts: list[tuple[float, int]] = []
        self._begun: set[int] = set()

    def run(self) -> None:
        left = list(reversed(range(len(self.load))))
        while left or self._waiting or self.engine.num_active:
            if not self._waiting and not self.engine.num_active:  # idle until the next one comes
                self.clock.now_s = max(self.clock.now_s, self.load[left[-1]].at_s)
            while left and self.load[left[-1]].at_s <= self.clock.now_s:
                self._waiting.append(left.pop())
            self._interrupt()
            self._submit()
            self.engine.run_commands()
            for _ in range(len(self._begun)):
                self.engine.admit_next()
            self.engine.step()
        self.engine.close()

    def _submit(self) -> None:
        """First come, first served takes one at a time; the others all that wait."""
        while self._waiting and not (self.policy == "first come" and len(self._begun) > len(self.ended)):
            index = self._waiting.pop(0)
            arrival = self.load[index]
            deadline_ms = None
            if self.policy == "deadlines":
                waited_ms = 1000 * (self.clock.now_s - arrival.at_s)
                deadline_ms = max(1, round(arrival.kind.deadline_ms - waited_ms))
            slots = tuple(replace(slot, name=f"{slot.name}{i}") for i, slot in enumerate(arrival.kind.slots))
            request = GenerationRequest(
                str(index),
                (Turn("user", (TextPart("tell me"),)),),
                Recipe(arrival.kind.name, slots),
                arrival.seed,
                partial_every=0,
                deadline_ms=deadline_ms,
                tenant=str(index),
            )
            self._begun.add(index)
            self.engine.submit(request, self._take)

    def _take(self, output: EngineOutput) -> None:
        index = int(output.request_id)
        if isinstance(output, Started) and (after_s := self.load[index].interrupted_after_s) is not None:
            heapq.heappush(self._interrupts, (self.load[index].at_s + after_s, index))
        elif isinstance(output, Finished):
            self.ended[index] = (self.clock.now_s, output)

    def _interrupt(self) -> None:
        while self._interrupts and self._interrupts[0][0] <= self.clock.now_s:
            self.engine.cancel(str(heapq.heappop(self._interrupts)[1]))

    def met(self) -> float:
        rights = [
            finished.status != "failed"
            and ended_s - self.load[index].at_s <= self.load[index].kind.deadline_ms / 1000 + GRACE_S
            for index, (ended_s, finished) in self.ended.items()
            if finished.status != "cancelled"
        ]
        return fmean(rights) if rights else 0.0

    def steps(self) -> float:
        shares = [
            finished.steps / finished.planned_steps
            for _, finished in self.ended.values()
            if finished.status in ("completed", "incomplete")
        ]
        return fmean(shares) if shares else 0.0


GRACE_S = 0.05  # a deadline is soft: the last step may end a little late


def measured_cost(model: OmniModel) -> Cost:
    """From passes over a short and a long canvas of the model, here and now."""
    executor = InProcessExecutor(model.backbone, "float32")
    engine = DenoisingEngine(model, _Kept(executor), start=False)
    timed: list[tuple[int, float]] = []
    for slots in ((TEXT,), (SOUND,)):
        kept = engine._executor
        assert isinstance(kept, _Kept)
        request = GenerationRequest(slots[0].name, (Turn("user", (TextPart("tell me"),)),), Recipe("one", slots))
        engine.submit(request, lambda output: None)
        engine.run_commands()
        engine.admit_next()
        engine.step()
        items = kept.items
        times = []
        for _ in range(9):
            began = time.perf_counter()
            executor.forward(items)
            times.append(time.perf_counter() - began)
        timed.append((len(items[0].canvas), sorted(times)[4]))
        engine.cancel(slots[0].name)
        engine.run_commands()
    engine.close()
    (short, short_s), (long, long_s) = timed
    position_s = max(1e-7, (long_s - short_s) / (long - short))
    return Cost(max(1e-5, short_s - short * position_s), position_s)


class _Kept:
    """Implements Executor: passes on, and keeps what it was asked last."""

    def __init__(self, executor: InProcessExecutor) -> None:
        self._executor = executor
        self.items: Sequence[ForwardItem] = ()

    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        self.items = items
        return self._executor.forward(items)


@torch.inference_mode()
def measure_load(
    model: OmniModel, cost: Cost, rates: Sequence[float] = RATES, seconds: float = 60.0, seed: int = 0
) -> LoadFigures:
    """The same seed and cost give the same figures."""
    met: dict[str, list[float]] = {policy: [] for policy in POLICIES}
    steps: dict[str, list[float]] = {policy: [] for policy in POLICIES}
    for rate in rates:
        load = arrivals(rate, seconds, seed)
        for policy in POLICIES:
            simulation = Simulation(model, policy, cost, load)
            simulation.run()
            met[policy].append(simulation.met())
            steps[policy].append(simulation.steps())
    compared = max((i for i in range(len(rates)) if met["first come"][i] > 0), default=0)
    return LoadFigures(
        ratio=met["deadlines"][compared] / max(met["first come"][compared], 1e-9),
        rates=tuple(rates),
        met=met,
        steps=steps,
        cost=cost,
        seconds=seconds,
    )


@click.command("load")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="A model folder.  [default: the embedded one]")
@click.option("--seconds", default=60.0, show_default=True, help="Simulated time of each rate.")
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=1, show_default=True, help="Threads of the passes that the cost is measured on.")
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="Draw the curves here (PNG).")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def load(
    folder: Path | None, seconds: float, seed: int, threads: int, plot_file: Path | None, json_file: Path | None
) -> None:
    """Deadlines met under a mixed load, three ways of serving it."""
    torch.set_num_threads(threads)
    model = load_model(folder or EMBEDDED)
    figures = measure_load(model, measured_cost(model), seconds=seconds, seed=seed)
    click.echo(
        f"a pass costs {1000 * figures.cost.fixed_s:.2f} ms and {1e6 * figures.cost.position_s:.0f} us a position; "
        f"{figures.seconds:g} s of simulated time a rate\n"
        f"{'arrivals/s':<12}" + "".join(f"{policy + ' (steps)':>26}" for policy in POLICIES)
    )
    for i, rate in enumerate(figures.rates):
        cells = (f"{figures.met[policy][i]:.0%} ({figures.steps[policy][i]:.0%})" for policy in POLICIES)
        click.echo(f"{rate:<12g}" + "".join(f"{cell:>26}" for cell in cells))
    if plot_file is not None:
        rates = figures.rates
        panels = [
            Panel(
                title,
                "arrivals a second",
                "share",
                {p: list(zip(rates, found[p], strict=True)) for p in POLICIES},
            )
            for title, found in (("deadlines met", figures.met), ("steps of the recipe run", figures.steps))
        ]
        draw(panels, plot_file)
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
