"""What the recipes' presets save beside one token a step, and what they lose; `omni bench quality`.

Needs what `omni eval` needs. The baseline already scores the rows and the tokens alone that may come; against the
published loop, which scores all of them, the saving is larger.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch

from runtime.engine.model import EMBEDDED, load_model
from runtime.evaluation.presets import RULES
from runtime.evaluation.trials import Outcome, Rule, Trial
from runtime.training.data.fetch import cache_folder

PRESET = Rule("preset", {})  # the recipe as it is
JUDGED_HERE = {task: rules for task, rules in RULES.items() if task != "text_to_speech"}  # that needs a recogniser


@dataclass(frozen=True)
class Saving:
    """ratio: floating-point operations of one token a step over the preset's. lost: share of the score, negative for a
    gain."""

    task: str
    ratio: float
    lost: float
    one_a_step: Outcome
    preset: Outcome


@dataclass(frozen=True)
class QualityFigures:
    """ratio: the least of the tasks'. most_lost: the most."""

    ratio: float
    most_lost: float
    savings: Sequence[Saving]


def measure_quality(trial: Trial, rules: Mapping[str, Sequence[Rule]] = JUDGED_HERE) -> QualityFigures:
    """Every task in both ways, on the same questions."""
    savings = []
    for task, of_task in rules.items():
        slow, preset = trial.outcome(task, of_task[0]), trial.outcome(task, PRESET)
        lost = 1 - preset.score / slow.score if slow.score else 0.0
        savings.append(Saving(task, slow.gflop / preset.gflop, lost, slow, preset))
    return QualityFigures(min(one.ratio for one in savings), max(one.lost for one in savings), savings)


@click.command("quality")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="A model folder.  [default: the embedded one]")
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--num", default=100, show_default=True, help="Answers a task.")
@click.option("--threads", default=1, show_default=True, help="Threads of the forward pass.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the figures here.")
def quality(folder: Path | None, cache: Path, num: int, threads: int, json_file: Path | None) -> None:
    """The presets of the recipes beside one token a step."""
    torch.set_num_threads(threads)
    try:
        trial = Trial(load_model(folder or EMBEDDED), cache, num)
        trial.check(JUDGED_HERE)
        figures = measure_quality(trial)
    except (OSError, RuntimeError) as error:  # drawings, speech or the judge are missing; the message says what to do
        raise click.ClickException(str(error)) from None
    for one in figures.savings:
        click.echo(
            f"{one.task:<16} {one.ratio:5.1f} x fewer operations   score {one.one_a_step.score:.1%} -> "
            f"{one.preset.score:.1%} ({-one.lost:+.1%})   n={one.preset.num}"
        )
    if json_file is not None:
        json_file.write_text(json.dumps(asdict(figures), indent=2) + "\n", encoding="utf-8")
