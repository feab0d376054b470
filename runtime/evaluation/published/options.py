"""The options that the commands of published benchmarks share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from runtime.engine.model import EMBEDDED
from runtime.evaluation.published.errors import EvaluationError
from runtime.models.checkpoints import CheckpointError

FOLDER = click.Path(path_type=Path)


@dataclass(frozen=True)
class Options:
    """What every command takes; see OPTIONS."""

    data: Path
    model: Path
    recipe_name: str | None
    length: int | None
    steps: int | None
    limit: int | None
    seed: int
    in_flight: int
    canvas_positions: int
    keep_going: bool
    out: Path | None
    json_file: Path | None

    def out_of(self, task: str) -> Path:
        """Where the answers and the report of a task are kept."""
        return self.out or Path("omni-eval") / task


OPTIONS = (
    click.argument("data", type=click.Path(exists=True, path_type=Path)),
    click.option(
        "--model", type=FOLDER, default=EMBEDDED, help="A model file, or its folder.  [default: the embedded]"
    ),
    click.option("--recipe", "recipe_name", help="Recipe of the model.  [default: the task's]"),
    click.option("--length", type=click.IntRange(1), help="Positions of an answer.  [default: the recipe's]"),
    click.option("--steps", type=click.IntRange(1), help="Denoise steps of an answer.  [default: the recipe's]"),
    click.option("--limit", type=click.IntRange(1), help="Only so many items; for vqa, pictures."),
    click.option("--seed", default=0, show_default=True, help="Each item's own seed comes from it and the item's id."),
    click.option("--in-flight", type=click.IntRange(1), default=1, show_default=True, help="Items asked at a time."),
    click.option(
        "--canvas-positions",
        type=click.IntRange(1),
        default=4096,
        show_default=True,
        help="Tokens of the longest question with its answer.",
    ),
    click.option("--keep-going", is_flag=True, help="An item that fails counts as an empty answer."),
    click.option("--out", type=FOLDER, help="Folder of the answers and the report.  [default: omni-eval/TASK]"),
    click.option("--json", "json_file", type=FOLDER, help="Also write the report here."),
)


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds OPTIONS, which the command gets as its first argument, and tells what is wrong in words, not in traces.

    Stands below `click.command` and above the command's own options.
    """

    def called(**given: Any) -> None:
        shared = {field.name: given.pop(field.name) for field in fields(Options)}
        with _told():
            command(Options(**shared), **given)

    called.__doc__ = command.__doc__
    called.__name__ = command.__name__
    # Where click keeps the options of a function until it becomes a command.
    called.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in reversed(OPTIONS):
        option(called)
    return called


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (EvaluationError, CheckpointError) as error:
        raise click.ClickException(str(error)) from error
