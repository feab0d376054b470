"""Training by a plan, stage after stage. Run it alone, or on many GPUs (untested) by `accelerate launch -m`.

python -m runtime.training.published.train plan.yaml
accelerate launch -m runtime.training.published.train plan.yaml
"""

import json
import math
import shutil
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.utils import gather_object
from torch import Tensor, nn

from runtime.engine.model import OmniModel, load_model
from runtime.engine.model_file import BackboneSource, ModelFile, Parts, Source, find_model_file, read_model_file
from runtime.models.backbone import Backbone
from runtime.models.checkpoints import CheckpointError, save_weights
from runtime.training.published.layout import Layout
from runtime.training.published.loss import packed_loss
from runtime.training.published.masking import MaskingRule
from runtime.training.published.media import ModelMedia
from runtime.training.published.packing import Packed
from runtime.training.published.plan import Plan, PlanError, Stage, read_plan
from runtime.training.published.samples import SampleError
from runtime.training.published.stream import PackStream, Position

SHARDED = ("FSDP", "DEEPSPEED", "MEGATRON_LM")  # how accelerate calls processes with a part of the weights each
CHECKPOINT, HISTORY, BACKBONE, MODEL = "checkpoint", "history.jsonl", "backbone.safetensors", "model.json"


class Learner(nn.Module):
    """The backbone with its loss as the forward pass, which is what many processes share gradients of."""

    def __init__(self, network: Backbone, train_encoder: bool) -> None:
        super().__init__()
        self.network, self.train_encoder = network, train_encoder
        network.model.audio_model.requires_grad_(train_encoder)

    def forward(self, packed: Packed) -> Tensor:
        return packed_loss(self.network, packed, self.train_encoder)


@dataclass
class Progress:
    """Where a training stands; kept with each checkpoint."""

    stage: int = 0
    step: int = 0
    positions: list[dict[str, Any]] = field(default_factory=list)  # of each process's stream

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.stage, self.step, self.positions = state["stage"], state["step"], state["positions"]


def train(plan: Plan) -> Path:
    """Carry the plan out, from the latest checkpoint if there is one; the folder of the trained model.

    Raises PlanError, SampleError, CheckpointError.
    """
    model = load_model(Path(plan.model))
    stored = model.backbone.lm_head.weight.dtype
    model.backbone.float()  # at 1e-5 most updates of a bfloat16 weight would be rounded away
    trainer = Trainer(plan, model)
    if trainer.progress.stage and not trainer.progress.step:
        trainer.load_network()
    while trainer.progress.stage < len(plan.stages):
        trainer.run_stage(plan.stages[trainer.progress.stage])
    if trainer.accelerator.is_main_process:
        save_trained(plan, model, stored)
    return Path(plan.output)


class Trainer:
    """The stages of a plan on the processes there are."""

    def __init__(self, plan: Plan, model: OmniModel) -> None:
        self.plan, self.model = plan, model
        self.accelerator = Accelerator(
            mixed_precision="bf16" if plan.precision == "bfloat16" else "no",
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        if (how := self.accelerator.distributed_type.value) in SHARDED:
            raise PlanError(
                f"accelerate is set up for {how}, which splits the weights; they could not be saved as a model. "
                "Choose a plain multi-GPU set-up, in which each process holds all of them"
            )
        processes = self.accelerator.num_processes
        if plan.rows_per_step % processes:
            raise PlanError(
                f"rows_per_step is {plan.rows_per_step}, which {processes} processes cannot share; use a multiple"
            )
        self.rows = plan.rows_per_step // processes
        self.output = Path(plan.output)
        self.output.mkdir(parents=True, exist_ok=True)
        self.progress = Progress()
        if self.accelerator.is_main_process:
            mend_folder(self.output / CHECKPOINT)
        self.accelerator.wait_for_everyone()
        if (saved := self.output / CHECKPOINT / "progress.json").is_file():
            self.progress.load_state_dict(json.loads(saved.read_text()))

    def run_stage(self, stage: Stage) -> None:
        learner = Learner(self.model.backbone, stage.train_speech_encoder).train()
        learner.network.model.audio_model.train(stage.train_speech_encoder)
        rate = stage.learning_rate or self.plan.learning_rate
        learned = [parameter for parameter in learner.parameters() if parameter.requires_grad]
        optimizer: Any = torch.optim.AdamW(learned, lr=rate, betas=self.plan.betas, weight_decay=self.plan.weight_decay)
        self.accelerator.free_memory()  # of the stage before, or it would be kept in every checkpoint
        prepared, optimizer = self.accelerator.prepare(learner, optimizer)
        stream = self._stream(stage)
        if self.progress.step:
            self.accelerator.load_state(str(self.output / CHECKPOINT))
            stream.go_to(Position(**self.progress.positions[self.accelerator.process_index]))
        self._steps(stage, rate, prepared, optimizer, stream)
        self.progress = Progress(self.progress.stage + 1)
        self._save(stream)

    def _steps(self, stage: Stage, rate: float, learner: nn.Module, optimizer: Any, stream: PackStream) -> None:
        clock = Clock(stage.steps - self.progress.step)
        while self.progress.step < stage.steps:
            for group in optimizer.param_groups:
                group["lr"] = rate * schedule(self.progress.step, stage.steps, self.plan.warmup)
            loss = self._step(learner, optimizer, stream)
            self.progress.step += 1
            clock.note(loss, self.plan.rows_per_step * self.plan.sequence_length)
            if self.progress.step % self.plan.report_every == 0 or self.progress.step == stage.steps:
                self._report(stage, clock, stream)
            if self.progress.step % self.plan.save_every == 0 and self.progress.step < stage.steps:
                self._save(stream)

    def _step(self, learner: nn.Module, optimizer: Any, stream: PackStream) -> float:
        """One optimiser step; every packed row counts the same. The mean loss of this process."""
        total = 0.0
        for row in range(self.rows):
            packed = stream.next().to(self.accelerator.device)
            last = row == self.rows - 1
            with self.accelerator.no_sync(learner) if not last else nullcontext():
                loss = learner(packed) / self.rows
                self.accelerator.backward(loss)
            total += float(loss.detach())
        self.accelerator.clip_grad_norm_(learner.parameters(), self.plan.max_gradient_norm)
        optimizer.step()
        optimizer.zero_grad()
        return total

    def _stream(self, stage: Stage) -> PackStream:
        vocabulary = self.model.vocabulary
        process = self.accelerator.process_index
        return PackStream(
            sources=stage.sources,
            layout=Layout(vocabulary, self.model.text.encode, ModelMedia(self.model)),
            vocabulary=vocabulary,
            rule=MaskingRule(self.plan.padding_mask_ratio, self.plan.mask_share),
            length=self.plan.sequence_length,
            seed=f"{self.plan.seed}/{self.progress.stage}/{process}",
            skip_broken=self.plan.skip_broken,
            shard=(process, self.accelerator.num_processes),
        )

    def _report(self, stage: Stage, clock: "Clock", stream: PackStream) -> None:
        loss, tokens_per_s, eta_min = clock.read()
        if not self.accelerator.is_main_process:
            return
        entry = {"stage": stage.name, "step": self.progress.step, "loss": loss, "tokens_per_s": tokens_per_s}
        with (self.output / HISTORY).open("a") as history:
            history.write(json.dumps(entry) + "\n")
        skipped = f"  {stream.position.skipped} samples skipped" if stream.position.skipped else ""
        print(
            f"{stage.name} {self.progress.step}/{stage.steps}  loss {loss:.4f}  {tokens_per_s:.0f} tokens/s  "
            f"ETA {eta_min:.1f} min{skipped}",
            flush=True,
        )

    def _save(self, stream: PackStream) -> None:
        """Written beside and put in place at once, so that a kill never leaves half a checkpoint."""
        own = asdict(stream.position)
        self.progress.positions = gather_object([own])
        beside = self.output / f"{CHECKPOINT}.new"
        # Not as safetensors: tied weights would lose one of their names.
        self.accelerator.save_state(str(beside), safe_serialization=False)
        if self.accelerator.is_main_process:
            (beside / "progress.json").write_text(json.dumps(self.progress.state_dict()))
            replace_folder(beside, self.output / CHECKPOINT)
        self.accelerator.wait_for_everyone()

    def load_network(self) -> None:
        """The weights the last stage ended with, when this process was started after it."""
        path = self.output / CHECKPOINT / "pytorch_model.bin"
        saved = torch.load(path, map_location="cpu", weights_only=True)
        self.model.backbone.load_state_dict({name.removeprefix("network."): saved[name] for name in saved})


class Clock:
    """Means and speed since the last report."""

    def __init__(self, steps_left: int) -> None:
        self._left = steps_left
        self._losses: list[float] = []
        self._tokens, self._since = 0, time.monotonic()

    def note(self, loss: float, tokens: int) -> None:
        self._left -= 1
        self._losses.append(loss)
        self._tokens += tokens

    def read(self) -> tuple[float, float, float]:
        """Mean loss, tokens a second, minutes left; begins anew."""
        seconds = max(1e-9, time.monotonic() - self._since)
        steps = len(self._losses)
        told = sum(self._losses) / steps, self._tokens / seconds, self._left * seconds / steps / 60
        self._losses, self._tokens, self._since = [], 0, time.monotonic()
        return told


def schedule(step: int, steps: int, warmup: float) -> float:
    """The learning rate's factor: a line up over the warm-up, then a cosine down to 0."""
    rising = max(1, round(steps * warmup))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def save_trained(plan: Plan, model: OmniModel, dtype: torch.dtype) -> None:
    """The trained backbone under its published names, and a model file that puts it in the place of the old one."""
    output, file = Path(plan.output), find_model_file(Path(plan.model))
    save_weights(model.backbone, output / BACKBONE, dtype)
    trained = with_backbone(read_model_file(file), file.parent.resolve(), model.backbone)
    (output / MODEL).write_bytes(msgspec.json.format(msgspec.json.encode(trained), indent=2) + b"\n")


def with_backbone(file: ModelFile, beside: Path, backbone: Backbone) -> ModelFile:
    """The model file for another folder: parts where they were, the backbone beside it."""
    others = msgspec.structs.asdict(file.parts)
    del others["backbone"]
    parts: dict[str, Any] = {name: _absolute(source, beside) for name, source in others.items() if source}
    encoder = asdict(backbone.model.audio_model.model.config)
    own = BackboneSource(path=BACKBONE, config=asdict(backbone.config), speech_encoder=encoder)
    return msgspec.structs.replace(file, parts=Parts(backbone=own, **parts))


def _absolute(source: str | Source, beside: Path) -> str | Source:
    if isinstance(source, str):
        return str(beside / source) if (beside / source).exists() else source
    return msgspec.structs.replace(source, path=str(beside / source.path)) if source.path else source


def mend_folder(folder: Path) -> None:
    """What a kill within `replace_folder` left: the old one is put back where none is in its place."""
    aside = folder.with_name(f"{folder.name}.old")
    if aside.exists() and not folder.exists():
        aside.rename(folder)


def replace_folder(new: Path, old: Path) -> None:
    aside = old.with_name(f"{old.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        old.rename(aside)
    new.rename(old)
    shutil.rmtree(aside, ignore_errors=True)


@click.command()
@click.argument("plan", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def finetune(plan: Path) -> None:
    """Train a model of any size by a PLAN, a YAML or JSON file; runtime/training/README.md shows one.

    The same command goes on where it was stopped. On many GPUs (untested): accelerate launch -m
    runtime.training.published.train PLAN.
    """
    try:
        folder = train(read_plan(plan))
    except (PlanError, SampleError, CheckpointError) as error:
        raise click.ClickException(str(error)) from None
    if PartialState().is_main_process:
        click.echo(f"trained: {folder / MODEL}; serve it with: omni serve --model {folder}")


if __name__ == "__main__":
    finetune()
