"""What remembering keys and values saves and what it costs; `omni bench reuse`.

At every step of an answer the same canvas is scored a second time without memory: how far the two are apart is what the
interval is chosen by. Total variation is half the sum of differences between two distributions, 0 to 1.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean

import click
import numpy as np
import torch
from torch import Tensor

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import EMBEDDED, OmniModel, load_model
from runtime.engine.output import EngineOutput
from runtime.engine.recipe import Recipe
from runtime.engine.request import GenerationRequest, ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor

NEVER = 10_000  # steps: the prompt is worked out once
LEAST_AGREEMENT = 0.99  # of best tokens with those of exact passes, for an interval to be recommended


@dataclass(frozen=True)
class ReuseFigures:
    """One task at one interval, means over all steps but refreshes.

    ratio: time of exact passes over that of the passes with memory, whole answers. kib: of memory a canvas, at most.
    """

    task: str
    refresh_every: int
    steps: int
    ratio: float
    total_variation: float
    agreement: float
    kib: float


class ComparingExecutor(InProcessExecutor):
    """Runs each pass twice, and answers with the one that was asked for."""

    def __init__(self, model: OmniModel) -> None:
        super().__init__(model.backbone, "float32")
        self.asked_s, self.exact_s, self.num_bytes = 0.0, 0.0, 0
        self.variations: list[float] = []
        self.agreements: list[float] = []

    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        began = time.perf_counter()
        asked = super().forward(items)
        between = time.perf_counter()
        exact = super().forward([replace(item, reuse=None) for item in items])
        self.asked_s += between - began
        self.exact_s += time.perf_counter() - between
        for item, near, true in zip(items, asked, exact, strict=True):
            if item.reuse is not None and not item.reuse.refresh and len(near):
                self.variations.append(float((near.softmax(-1) - true.softmax(-1)).abs().sum(-1).mean() / 2))
                self.agreements.append(float((near.argmax(-1) == true.argmax(-1)).float().mean()))
            if item.reuse is not None:
                self.num_bytes = max(self.num_bytes, item.reuse.memory.num_bytes)
        return asked


def parts_for(task: str, model: OmniModel, index: int) -> tuple[Part, ...]:
    """Something to answer. Speech is a hum, pictures are blots: what is measured is the network's, not the world's."""
    generator = np.random.default_rng(index)
    if task.startswith("speech"):
        seconds = np.arange(2 * 16_000) / 16_000
        hum = 8000 * np.sin(2 * np.pi * (120 + 40 * index + 60 * np.sin(2 * np.pi * 3 * seconds)) * seconds)
        return (SpeechPart(hum.astype(np.int16), 16_000),)
    if task.startswith("image"):
        side = model.image_size_px
        blots = generator.integers(0, 255, (5, 5, 3), dtype=np.uint8).repeat(side // 5, 0).repeat(side // 5, 1)
        return (ImagePart(blots), TextPart("what do you see?"))
    things = ("a cat", "two dogs", "a red apple", "an owl above a house", "three keys")
    return (TextPart(f"draw {things[index % len(things)]} on a blue background"),)


def measure_reuse(model: OmniModel, task: str, refresh_every: int, num: int = 5) -> ReuseFigures:
    """`num` answers, one after the other."""
    recipe = model.recipes[task]
    steps = 8 if task.endswith("text") else 0  # texts are short: without a step a token or two nothing is reused
    slots = tuple(replace(slot, refresh_every=refresh_every, steps=max(steps, slot.steps)) for slot in recipe.slots)
    executor = ComparingExecutor(model)
    engine = DenoisingEngine(model, executor, start=False)
    for index in range(num):
        turn = Turn("user", parts_for(task, model, index))
        engine.submit(GenerationRequest(str(index), (turn,), Recipe(task, slots), index, partial_every=0), _ignore)
        engine.run_commands()
        engine.admit_next()
        while engine.num_active:
            engine.step()
    engine.close()
    return ReuseFigures(
        task=task,
        refresh_every=refresh_every,
        steps=len(executor.agreements),
        ratio=executor.exact_s / executor.asked_s,
        total_variation=fmean(executor.variations) if executor.variations else 0.0,
        agreement=fmean(executor.agreements) if executor.agreements else 1.0,
        kib=executor.num_bytes / 1024,
    )


def recommended(figures: Sequence[ReuseFigures]) -> int:
    """The longest interval of one task that changes hardly anything and saves time; 1 if there is none."""
    good = [one.refresh_every for one in figures if one.agreement >= LEAST_AGREEMENT and one.ratio > 1]
    return max(good, default=1)


def _ignore(output: EngineOutput) -> None:
    """Only the passes are of interest."""


@click.command("reuse")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="A model folder.  [default: the embedded one]")
@click.option("--num", default=5, show_default=True, help="Answers a task and interval.")
@click.option("--threads", default=1, show_default=True, help="Threads of the forward pass.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def reuse(folder: Path | None, num: int, threads: int, json_file: Path | None) -> None:
    """Passes that remember beside exact ones."""
    torch.set_num_threads(threads)
    model = load_model(folder or EMBEDDED)
    tasks = [task for task in ("text_to_image", "image_to_text", "speech_to_text") if task in model.recipes]
    told: dict[str, object] = {}
    for task in tasks:
        figures = [measure_reuse(model, task, every, num) for every in (2, 4, 8, NEVER)]
        for one in figures:
            every = "never" if one.refresh_every == NEVER else f"every {one.refresh_every}"
            click.echo(
                f"{task:<16} refresh {every:<8} {one.ratio:5.2f} x as fast   total variation {one.total_variation:.3f}"
                f"   agreement {one.agreement:.3f}   {one.kib:.0f} KiB"
            )
        chosen = recommended(figures)
        click.echo(f"{task:<16} recommended: {'off' if chosen == 1 else f'refresh every {chosen}'}")
        told[task] = {"recommended": chosen, "figures": [asdict(one) for one in figures]}
    if json_file is not None:
        ratio = measure_reuse(model, tasks[0], 4, num).ratio
        json_file.write_text(json.dumps({"ratio": ratio, "tasks": told}, indent=2) + "\n", encoding="utf-8")
