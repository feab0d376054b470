"""Conducts a benchmark: model, recipe, log, answers, report."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic

import click
import msgspec

from runtime.diffusion.canvas import Modality
from runtime.engine.model import OmniModel
from runtime.engine.recipe import Recipe
from runtime.evaluation.published.answer_log import AnswerLog, Row
from runtime.evaluation.published.answerer import EngineAnswerer, choose_recipe, resized, started, weights_digest
from runtime.evaluation.published.errors import SetupError
from runtime.evaluation.published.manifest import digest_of
from runtime.evaluation.published.measures import Measure, Report
from runtime.evaluation.published.options import Options
from runtime.evaluation.published.run import Item, ItemT, RowT, Task, answer_items

ANSWERS, REPORT = "answers.jsonl", "report.json"


@dataclass(frozen=True)
class Benchmark(Generic[ItemT, RowT]):
    """A task and its items.

    modality: what its answers are made of. recipes: which of a model's recipes it takes, the first there is.
    prepare: what is changed in the recipe for this benchmark.
    """

    name: str
    modality: Modality
    recipes: tuple[str, ...]
    items: Sequence[ItemT]
    task: Task[ItemT, RowT]
    row_type: type[RowT]
    prepare: Callable[[Recipe], Recipe] = lambda recipe: recipe

    def log(self, folder: Path, settings: dict[str, Any]) -> AnswerLog[RowT]:
        return AnswerLog(folder / ANSWERS, settings, self.row_type)


@dataclass(frozen=True)
class Answers(Generic[RowT]):
    """The rows of a benchmark in the order of its items, and all that they depend on."""

    rows: Sequence[RowT]
    settings: dict[str, Any]


def run(options: Options, benchmark: Benchmark[ItemT, RowT]) -> Answers[RowT]:
    """Have all items answered that are not yet. Raises EvaluationError, CheckpointError."""
    with started(options.model, options.canvas_positions) as (model, engine):
        recipe = recipe_of(options, benchmark, model)
        settings = settings_of(options, benchmark.name, model, recipe)
        log = benchmark.log(options.out_of(benchmark.name), settings)
        answerer = EngineAnswerer(engine, recipe, options.in_flight)
        rows = answer_items(
            benchmark.task, benchmark.items, answerer, log, seed=options.seed, keep_going=options.keep_going
        )
        _follow(rows, benchmark.items, log)
    return Answers([log.rows[item.id] for item in benchmark.items], settings)


def recipe_of(options: Options, benchmark: Benchmark[ItemT, RowT], model: OmniModel) -> Recipe:
    """The recipe asked for, or the benchmark's, with the length and steps asked for. Raises SetupError."""
    names = benchmark.recipes if options.recipe_name is None else (options.recipe_name,)
    recipe = benchmark.prepare(choose_recipe(model, names))
    if all(slot.modality != benchmark.modality for slot in recipe.slots):
        raise SetupError(
            f"recipe {recipe.name!r} makes no {benchmark.modality}, which {benchmark.name} needs; "
            f"the model {model.name} has {', '.join(model.recipes)}; choose one with --recipe"
        )
    return resized(recipe, benchmark.modality, options.length, options.steps)


def settings_of(options: Options, task: str, model: OmniModel, recipe: Recipe) -> dict[str, Any]:
    """All that an answer depends on, as it reads when it comes back from a file."""
    settings = {
        "task": task,
        "model": model.name,
        "weights": weights_digest(model.backbone),
        "fidelity": model.fidelity,
        "recipe": asdict(recipe),
        "seed": options.seed,
        "data": digest_of(options.data) if options.data.is_file() else options.data.resolve().name,
    }
    read_back: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(settings))
    return read_back


def _follow(rows: Iterable[Row], items: Sequence[Item], log: AnswerLog[RowT]) -> None:
    """Run through the rows, with a bar for whoever watches."""
    num_done = sum(item.id in log for item in items)
    if num_done:
        click.echo(f"{num_done} of {len(items)} are answered already in {log.path}", err=True)
    with click.progressbar(rows, length=len(items) - num_done, file=sys.stderr) as bar:
        for _ in bar:
            pass


def finish(options: Options, answers: Answers[RowT], measures: Iterable[Measure], **judged: Any) -> None:
    """Print the report and write it. `judged`: settings of the judgement alone."""
    rows, settings = answers.rows, {**answers.settings, **judged}
    num_failed = sum(row.error is not None for row in rows)
    failed = [Measure("failed", num_failed / len(rows), len(rows))] if num_failed else []
    report = Report(
        task=settings["task"],
        model=settings["model"],
        recipe=settings["recipe"]["name"],
        num=len(rows),
        seed=settings["seed"],
        seconds=sum(row.seconds for row in rows),
        measures=(*measures, *failed),
        settings=settings,
    )
    click.echo(str(report))
    report.write(options.out_of(report.task) / REPORT)
    if options.json_file is not None:
        report.write(options.json_file)
