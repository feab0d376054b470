"""A denoise step beside the bare forward pass of the same batch, in the same run; `omni bench step`.

Everything a step does besides the forward pass is overhead: choosing who shares it, padding, sampling, unmasking,
telling the partials. Previews are no part of it: whoever shows them paints them.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import torch
from torch import Tensor

from runtime.benchmarks.fidelity import Workload, measure_fidelity
from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import EMBEDDED, OmniModel, load_model
from runtime.engine.output import EngineOutput
from runtime.engine.recipe import Recipe
from runtime.engine.request import GenerationRequest, TextPart, Turn
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor, processor_has_bfloat16
from runtime.executors.passes import Pass, passes_of
from runtime.models.backbone import Backbone
from runtime.models.checkpoints import CheckpointError

WISH = "draw two red apples on a blue background"
NETWORK = Workload(512, 8, 32_000, 8192, 300, 260, "float32")
WARM_UP = 2  # steps that are run and not counted


@dataclass(frozen=True)
class StepFigures:
    """Medians over `steps` steps of a picture, in milliseconds; an overhead of 0.1 is ten per cent of the forward pass.

    ratio: how many times as long the published loop takes for a step, both giving the same tokens, in a random network
    of 8 layers of 512 and 32,000 tokens; None if that was not wanted. model_ratio: in one of the model's sizes.
    step_ms: without partials. step_with_partials_ms: with a partial of every response after every step.
    canvases, positions: of the batch, which holds each guided canvas twice.
    """

    ratio: float | None
    model_ratio: float
    forward_ms: float
    step_ms: float
    step_with_partials_ms: float
    overhead: float
    overhead_with_partials: float
    responses: int
    canvases: int
    positions: int
    steps: int
    threads: int


class RecordingExecutor(InProcessExecutor):
    """Remembers what it was last asked."""

    items: Sequence[ForwardItem] = ()

    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        self.items = items
        return super().forward(items)


@dataclass(frozen=True)
class BareForward:
    """The forward passes of a step and nothing else: everything is laid out beforehand."""

    backbone: Backbone
    passes: Sequence[Pass]

    @classmethod
    def of(cls, backbone: Backbone, items: Sequence[ForwardItem]) -> "BareForward":
        return cls(backbone, passes_of(items, together=False))

    @property
    def canvases(self) -> int:
        return sum(len(each.batch.lengths) for each in self.passes)

    @property
    def positions(self) -> int:
        return sum(each.batch.token_ids.numel() for each in self.passes)

    @torch.inference_mode()
    def __call__(self) -> list[Tensor]:
        device = self.backbone.lm_head.weight.device
        scores = {index: rows for each in self.passes for index, rows in each.run(self.backbone, device).items()}
        return [scores[index] for index in range(len(scores))]


def measure_step(
    model: OmniModel, num_responses: int = 1, num_steps: int = 44, network: Workload | None = None
) -> StepFigures:
    """Draw pictures until `num_steps` steps are timed without partials and as many with them, pass by pass in turns."""
    executor = RecordingExecutor(model.backbone, "float32")
    plain, told, bare = _Times(), _Times(), _Times()
    round_number = 0
    while len(plain.counted) < num_steps or len(told.counted) < num_steps:
        times = told if round_number % 2 else plain
        engine = _begin(model, executor, num_responses, partial_every=1 if times is told else 0)
        for _ in range(picture_of(model).steps - 1):  # the last step finishes the response, which is no step's work
            times.add(_milliseconds(engine.step))
            forward = BareForward.of(model.backbone, executor.items)
            bare.add(_milliseconds(forward))
        engine.close()
        round_number += 1
    forward_ms = bare.median
    return StepFigures(
        ratio=None if network is None else published_ratio(network, repeats=1),
        model_ratio=published_ratio(sizes_of(model, forward.positions // forward.canvases)),
        forward_ms=forward_ms,
        step_ms=plain.median,
        step_with_partials_ms=told.median,
        overhead=plain.median / forward_ms - 1,
        overhead_with_partials=told.median / forward_ms - 1,
        responses=num_responses,
        canvases=forward.canvases,
        positions=forward.positions,
        steps=len(plain.counted),
        threads=torch.get_num_threads(),
    )


def published_ratio(workload: Workload, repeats: int = 3) -> float:
    """Of a whole picture, by an early, two middle and a late step."""
    new = workload.max_new_tokens
    masked = [max(1, new * share // 20) for share in (19, 13, 7, 1)]
    return measure_fidelity(workload, masked, repeats).ratio


def sizes_of(model: OmniModel, positions: int) -> Workload:
    """A picture on a canvas of so many positions in a random network of the model's sizes."""
    config, (first, stop) = model.backbone.config, model.vocabulary.image
    new = picture_of(model).slots[0].length
    return Workload(
        hidden_size=config.hidden_size,
        num_layers=config.num_hidden_layers,
        vocab_size=config.vocab_size,
        num_codes=stop - first,
        prompt_length=max(1, positions - new),
        max_new_tokens=new,
        precision="float32",
    )


def picture_of(model: OmniModel) -> Recipe:
    """The picture of `text_to_image` alone, so that every step of a batch is alike."""
    recipe = model.recipes["text_to_image"]
    return Recipe("picture", tuple(slot for slot in recipe.slots if slot.modality == "image"))


class _Times:
    """Milliseconds of steps, the first few left out."""

    def __init__(self) -> None:
        self._all: list[float] = []

    def add(self, milliseconds: float) -> None:
        self._all.append(milliseconds)

    @property
    def counted(self) -> list[float]:
        return self._all[WARM_UP:]

    @property
    def median(self) -> float:
        return statistics.median(self.counted)


def _begin(model: OmniModel, executor: RecordingExecutor, num_responses: int, partial_every: int) -> DenoisingEngine:
    """An engine without a thread, with all responses admitted."""
    engine = DenoisingEngine(model, executor, start=False)
    for i in range(num_responses):
        turns = (Turn("user", (TextPart(WISH),)),)
        request = GenerationRequest(str(i), turns, picture_of(model), seed=i, partial_every=partial_every)
        engine.submit(request, _ignore)
    engine.run_commands()
    for _ in range(num_responses):
        engine.admit_next()
    return engine


def _ignore(output: EngineOutput) -> None:
    """The receiver's own work is not the step's."""


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


@click.command("step")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="A model folder.  [default: the embedded one]")
@click.option("--responses", default=1, show_default=True, help="Responses that share the step.")
@click.option("--steps", default=44, show_default=True, help="Steps to time.")
@click.option("--threads", type=int, help="Threads of the forward pass.  [default: torch's choice]")
@click.option("--large/--no-large", default=True, show_default=True, help="Also time a larger random network.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def step(
    folder: Path | None, responses: int, steps: int, threads: int | None, large: bool, json_file: Path | None
) -> None:
    """A denoise step beside the bare forward pass of the same batch."""
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        model = load_model(folder or EMBEDDED)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from None
    network = replace(NETWORK, precision="bfloat16" if processor_has_bfloat16() else "float32")
    figures = measure_step(model, responses, steps, network if large else None)
    click.echo(
        f"{figures.responses} responses, {figures.canvases} canvases, {figures.positions} positions, "
        f"{figures.threads} threads, {figures.steps} steps\n"
        f"bare forward pass    {figures.forward_ms:8.2f} ms\n"
        f"step                 {figures.step_ms:8.2f} ms  {figures.overhead:+.1%}\n"
        f"step with partials   {figures.step_with_partials_ms:8.2f} ms  {figures.overhead_with_partials:+.1%}\n"
        f"the published loop's step takes {figures.model_ratio:.2f} times as long as ours in a network of its sizes"
    )
    if figures.ratio is not None:
        click.echo(f"{figures.ratio:.2f} times in 8 layers of 512, 32,000 tokens, {network.precision}")
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n")
