"""The model that is judged, opened for as long as it is; and the options that its commands share."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import EMBEDDED, OmniModel, load_model
from runtime.executors.in_process import InProcessExecutor
from runtime.training.data.fetch import cache_folder

_FOLDER = click.Path(path_type=Path)
model_option = click.option("--model", "folder", type=_FOLDER, help="a model folder; default: the embedded model")
cache_option = click.option(
    "--cache", type=_FOLDER, default=cache_folder, show_default="the training cache", help="what it is judged on"
)
json_option = click.option("--json", "json_file", type=_FOLDER, help="also write the figures here")


@contextmanager
def opened(folder: Path | None) -> Iterator[tuple[OmniModel, DenoisingEngine]]:
    """The model and an engine that answers with it. folder: None is the embedded model."""
    model = load_model(folder or EMBEDDED)
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    try:
        yield model, engine
    finally:
        engine.close()
