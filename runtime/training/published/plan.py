"""What a training does, from a YAML or JSON file: the model it begins with, the stages, the sources of each."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runtime.models.config_files import checked, read_fields
from runtime.models.weight_files import CheckpointError

Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]


class PlanError(ValueError):
    """A plan that cannot be carried out; names the file, the field and what is allowed."""


class Source(msgspec.Struct, frozen=True):
    """A JSONL file of samples.

    media_root: what the paths in it are relative to, by default its own folder. weight: how often it is packed from.
    """

    file: str
    media_root: str | None = None
    weight: Positive = 1.0


class Stage(msgspec.Struct, frozen=True):
    """One stage of the progressive training. learning_rate: the plan's where it is not given."""

    name: str
    steps: Count
    sources: Annotated[list[Source], Meta(min_length=1)]
    train_speech_encoder: bool = False
    learning_rate: Positive | None = None


class Plan(msgspec.Struct, frozen=True):
    """The defaults are the published numbers.

    model: folder or model file to begin with. output: folder for checkpoints, history and the trained backbone.
    sequence_length: positions of a packed row. rows_per_step: packed rows a step, over all processes.
    warmup: share of a stage's steps in which the learning rate rises; a cosine lets it fall to 0 after that.
    padding_mask_ratio, mask_share: see MaskingRule. save_every: steps between checkpoints.
    skip_broken: pass over samples that cannot be read, and count them, instead of stopping.
    """

    model: str
    output: str
    stages: Annotated[list[Stage], Meta(min_length=1)]
    sequence_length: Count = 3072
    rows_per_step: Count = 128
    learning_rate: Positive = 1e-5
    betas: tuple[Share, Share] = (0.9, 0.95)
    weight_decay: Annotated[float, Meta(ge=0)] = 0.0
    warmup: Share = 0.03
    max_gradient_norm: Positive = 1.0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    padding_mask_ratio: Share = 0.6
    mask_share: Literal["position", "sample"] = "position"
    save_every: Count = 500
    report_every: Count = 10
    seed: int = 0
    skip_broken: bool = False


def read_plan(path: Path) -> Plan:
    """The plan in a file, its paths made relative to the file's folder. Raises PlanError."""
    try:
        plan = checked(read_fields(path), Plan, str(path))
    except CheckpointError as error:
        raise PlanError(str(error)) from error
    names = [stage.name for stage in plan.stages]
    if len(set(names)) < len(names):
        raise PlanError(f"{path}: the stages are called {', '.join(names)}; give each a name of its own")
    beside = path.parent
    stages = [
        msgspec.structs.replace(stage, sources=[_located(source, beside, path) for source in stage.sources])
        for stage in plan.stages
    ]
    return msgspec.structs.replace(
        plan, model=str(beside / plan.model), output=str(beside / plan.output), stages=stages
    )


def _located(source: Source, beside: Path, path: Path) -> Source:
    file = beside / source.file
    if not file.is_file():
        raise PlanError(f"{path}: source {file}: no such file; name a JSONL file, relative to the plan")
    root = str(beside / source.media_root) if source.media_root is not None else None
    return msgspec.structs.replace(source, file=str(file), media_root=root)
