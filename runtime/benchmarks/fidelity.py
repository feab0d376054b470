"""A denoise step as published, the same without waste, and the corrected one, side by side; `omni bench fidelity`.

All three start from the same half-finished picture of a random network, so the figures say nothing of quality.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import click
import torch
from torch import Tensor

from runtime.benchmarks.reference_loop import ReferenceLoop
from runtime.diffusion.canvas import Canvas, Slot
from runtime.diffusion.denoise import denoise_step, masked_positions, step_generator
from runtime.diffusion.reference import ReferenceDecoding
from runtime.diffusion.reference_rule import ReferenceRule
from runtime.engine.recipe import SlotRecipe
from runtime.engine.reference import ReferencePrompt, forward_items, step_scores
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor
from runtime.models.backbone import Backbone, BackboneConfig

Precision = Literal["float32", "bfloat16"]
SEED = 1


@dataclass(frozen=True)
class Workload:
    """A picture request. num_codes: the last tokens of the vocabulary, which a picture is made of."""

    hidden_size: int
    num_layers: int
    vocab_size: int
    num_codes: int
    prompt_length: int
    max_new_tokens: int
    precision: Precision

    @property
    def mask_id(self) -> int:
        return self.vocab_size - self.num_codes - 1

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32 if self.precision == "float32" else torch.bfloat16

    @property
    def rule(self) -> ReferenceRule:
        """The published numbers of a picture."""
        return ReferenceRule(
            self.max_new_tokens,
            self.max_new_tokens,
            temperature=0.0,
            top_p=0.9,
            repeat_penalty=1.2,
            position_penalty=2.0,
        )

    def backbone(self) -> Backbone:
        """A random network in the proportions of the published one."""
        heads = max(1, self.hidden_size // 64)
        groups = next(groups for groups in (7, 4, 2, 1) if heads % groups == 0)
        intermediate = self.hidden_size * 37 // 7
        torch.manual_seed(SEED)
        config = BackboneConfig(
            self.vocab_size, self.hidden_size, intermediate, self.num_layers, heads, heads // groups
        )
        return Backbone(config).to(self.dtype).eval()

    def sequence(self, num_masked: int) -> Tensor:
        """A picture with so many positions open, behind a prompt of text: (length,)."""
        random = torch.Generator().manual_seed(SEED)
        prompt = torch.randint(1, self.mask_id, (self.prompt_length,), generator=random)
        answer = torch.randint(self.mask_id + 1, self.vocab_size, (self.max_new_tokens,), generator=random)
        answer[torch.randperm(self.max_new_tokens, generator=random)[:num_masked]] = self.mask_id
        return torch.cat([prompt, answer])


@dataclass(frozen=True)
class StepTimes:
    """Medians in milliseconds of the step with so many masked positions. forward: layers alone, without scores."""

    masked: int
    forward_ms: float
    published_ms: float
    reference_ms: float
    corrected_ms: float


@dataclass(frozen=True)
class FidelityFigures:
    """Ratios are of the sums over all steps measured: how many times as long the published step takes.

    ratio: the reference one, which gives the same tokens.
    """

    ratio: float

    workload: Workload
    steps: list[StepTimes]
    reference_ratio: float
    corrected_ratio: float
    threads: int


@dataclass(frozen=True)
class Contest:
    """The same step in each way."""

    workload: Workload
    backbone: Backbone
    sequence: Tensor

    @property
    def prompt(self) -> ReferencePrompt:
        return ReferencePrompt(self.sequence[: self.workload.prompt_length])

    @property
    def num_steps(self) -> int:
        """Steps run so far: the picture lost one mask in each."""
        return self.workload.max_new_tokens - int((self.sequence == self.workload.mask_id).sum())

    def executor(self) -> InProcessExecutor:
        return InProcessExecutor(self.backbone, self.workload.precision)

    def forward(self) -> None:
        with torch.inference_mode():
            self.backbone.hidden(self.backbone.embed(self.sequence[None]))

    def published(self) -> Tensor:
        """The sequence after the step."""
        loop = ReferenceLoop(self.backbone, self.prompt, self.workload.rule, self.workload.mask_id)
        loop.sequence = self._begun().token_ids.clone()
        loop.history = [loop.sequence] if self.num_steps else []
        inside = torch.arange(len(self.sequence)) >= self.workload.prompt_length
        loop.step(inside, self.num_steps, self.workload.rule.num_steps)
        return loop.sequence

    def reference(self) -> Tensor:
        """The sequence after the step."""
        decoding, vocab = self._begun(), self.workload.vocab_size
        with torch.inference_mode():
            scores = self.executor().forward(forward_items(self.prompt, decoding, vocab))
            return decoding.advance(step_scores(scores, decoding.rule, self.workload.dtype)).token_ids

    def corrected(self) -> Canvas:
        """The canvas after the step: codes alone are scored, and the sampler is ours."""
        rule, start = self.workload.rule, self.workload.prompt_length
        codes = (self.workload.mask_id + 1, self.workload.vocab_size)
        slot = Slot("image", "image", start, rule.max_new_tokens, codes, stage=0)
        length = len(self.sequence)
        canvas = Canvas(
            self.sequence, torch.arange(length).float(), torch.full((length,), -1), (slot,), self.workload.mask_id
        )
        recipe = SlotRecipe(
            "image", "image", rule.max_new_tokens, rule.num_steps, confidence="entropy", top_k=rule.top_k,
            top_p=rule.top_p, repeat_penalty=rule.repeat_penalty, position_penalty=rule.position_penalty,
        )  # fmt: skip
        rows = masked_positions(canvas, slot)
        with torch.inference_mode():
            (scores,) = self.executor().forward([ForwardItem(canvas, rows, slot.vocabulary)])
            generator = step_generator(SEED, self.num_steps, slot.name)
            return denoise_step(canvas, slot, scores, recipe, self.num_steps, recipe.steps, generator)

    def _begun(self) -> ReferenceDecoding:
        decoding = self.prompt.begin(self.workload.rule, self.workload.mask_id)
        token_ids = decoding.token_ids.clone()
        token_ids[self.workload.prompt_length :] = self.sequence[self.workload.prompt_length :]
        return replace(decoding, token_ids=token_ids, step=self.num_steps, num_steps=self.num_steps)


def measure_fidelity(workload: Workload, masked: Sequence[int], repeats: int) -> FidelityFigures:
    """The steps with so many masked positions, each way in turn."""
    backbone = workload.backbone()
    steps = [_measure(Contest(workload, backbone, workload.sequence(count)), count, repeats) for count in masked]
    published = sum(step.published_ms for step in steps)
    reference_ratio = published / sum(step.reference_ms for step in steps)
    return FidelityFigures(
        ratio=reference_ratio,
        workload=workload,
        steps=steps,
        reference_ratio=reference_ratio,
        corrected_ratio=published / sum(step.corrected_ms for step in steps),
        threads=torch.get_num_threads(),
    )


def _measure(contest: Contest, masked: int, repeats: int) -> StepTimes:
    ways = (contest.forward, contest.published, contest.reference, contest.corrected)
    contest.forward()  # pays for what is made on first use
    rounds = [[_milliseconds(way) for way in ways] for _ in range(repeats)]
    return StepTimes(masked, *(statistics.median(times) for times in zip(*rounds, strict=True)))


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


@click.command("fidelity")
@click.option("--hidden-size", default=256, show_default=True, type=click.IntRange(64))
@click.option("--layers", default=8, show_default=True, type=click.IntRange(1))
@click.option("--vocab", default=176_264, show_default=True, help="Tokens in all.", type=click.IntRange(3))
@click.option("--codes", default=8192, show_default=True, help="Tokens of these a picture is made of.")
@click.option("--prompt", default=300, show_default=True, help="Positions before the picture.", type=click.IntRange(1))
@click.option("--new", default=260, show_default=True, help="Positions of the picture.", type=click.IntRange(1))
@click.option("--masked", multiple=True, type=click.IntRange(1), help="Open positions of a step to time; repeatable.")
@click.option("--repeats", default=1, show_default=True, help="Times each is run.", type=click.IntRange(1))
@click.option("--precision", default="float32", show_default=True, type=click.Choice(["float32", "bfloat16"]))
@click.option("--threads", type=int, help="Threads of the forward pass.  [default: torch's choice]")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def fidelity(
    hidden_size: int,
    layers: int,
    vocab: int,
    codes: int,
    prompt: int,
    new: int,
    masked: tuple[int, ...],
    repeats: int,
    precision: Precision,
    threads: int | None,
    json_file: Path | None,
) -> None:
    """The published denoise step beside ours, exact and corrected, on a random network."""
    if hidden_size % 64:
        raise click.BadParameter(f"{hidden_size} is no multiple of 64, the size of a head", param_hint="--hidden-size")
    if not 0 < codes < vocab - 1:
        raise click.BadParameter(f"{codes} of {vocab} tokens; leave two at least for others", param_hint="--codes")
    if masked and max(masked) > new:
        raise click.BadParameter(f"{max(masked)} of {new} positions cannot be open", param_hint="--masked")
    if threads is not None:
        torch.set_num_threads(threads)
    workload = Workload(hidden_size, layers, vocab, codes, prompt, new, precision)
    figures = measure_fidelity(workload, masked or _spread(new), repeats)
    click.echo(
        f"{layers} layers of {hidden_size}, {vocab} tokens, {prompt} + {new} positions, {precision}, "
        f"{figures.threads} threads; milliseconds a step\n"
        f"{'masked':>8}{'layers':>10}{'published':>12}{'reference':>12}{'corrected':>12}"
    )
    for step in figures.steps:
        click.echo(
            f"{step.masked:>8}{step.forward_ms:>10.1f}{step.published_ms:>12.1f}"
            f"{step.reference_ms:>12.1f}{step.corrected_ms:>12.1f}"
        )
    click.echo(f"published / reference {figures.reference_ratio:.2f}, / corrected {figures.corrected_ratio:.2f}")
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n")


def _spread(new: int) -> tuple[int, ...]:
    """An early, a middle and a late step."""
    return tuple(max(1, new * share // 20) for share in (19, 10, 1))
