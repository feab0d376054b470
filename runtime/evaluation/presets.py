"""What steps buy: each task by many commit rules, its score beside its cost; `omni eval presets`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import torch

from runtime.engine.model import EMBEDDED, load_model
from runtime.evaluation.judges import recogniser_of
from runtime.evaluation.published.errors import SetupError
from runtime.evaluation.trials import Outcome, Rule, Trial
from runtime.training.data.fetch import FetchError, cache_folder

MOST_LOST = 0.01  # of the score of one token a step that a preset may lose
ALONE = 5  # answers of a rule that are waited for with nothing beside them
BOUNDS = {"threshold": (0.5, 0.7, 0.9), "entropy_bound": (0.1, 0.5, 2.0), "certain_answer": (0.3, 0.6, 0.9)}
HEARD_BOUNDS = {"stable_prefix": (0.1, 0.3)}
COLUMNS = 4  # of panels
STEPS = (1, 2, 4, 8, 16, 32, 64, 128)  # marked on the axis


def _rules(
    length: int, steps: Sequence[int], bounds: Mapping[str, Sequence[float]] = BOUNDS, **common: Any
) -> tuple[Rule, ...]:
    """One token a step first, the schedule with fewer steps, and the rules that fill more where they are sure."""
    plain = {"commit": "schedule", **common}  # whatever the recipe has
    few = tuple(Rule("schedule", {"steps": n, **plain}) for n in steps)
    ruled = tuple(
        Rule(rule, {"steps": length, "commit": rule, "commit_bound": bound, **common})
        for rule, some in bounds.items()
        for bound in some
    )
    return (Rule("one a step", {"steps": length, "schedule": "linear", **plain}), *few, *ruled)


def _schedules(*steps: int) -> tuple[Rule, ...]:
    """The first is what the others are compared with."""
    return tuple(Rule("schedule", {"steps": n, "commit": "schedule"}) for n in steps)


def _heard_early(steps: int) -> tuple[Rule, ...]:
    return tuple(
        Rule(rule, {"steps": steps, "commit": rule, "commit_bound": bound})
        for rule, some in HEARD_BOUNDS.items()
        for bound in some
    )


def _side_by_side(*widths: int) -> tuple[Rule, ...]:
    return tuple(Rule("side by side", {"hypotheses": width}) for width in widths)


TEXT_RULES = (*_rules(16, (1, 2, 4, 8)), *_side_by_side(2, 4, 8, 20, 32))
RULES: Mapping[str, tuple[Rule, ...]] = {
    "text_to_image": _rules(100, (2, 4, 6, 8, 12, 16, 24, 48), {"threshold": (0.5, 0.7, 0.9), "entropy_bound": (2.0,)}),
    "speech_to_image": _schedules(24, 1, 2, 4, 8, 12),
    "image_to_text": TEXT_RULES,
    "speech_to_text": TEXT_RULES,
    "text_to_speech": (*_schedules(48, 1, 2, 4, 8, 12, 24), *_heard_early(12), *_heard_early(24)),
    "infill_text": _schedules(16, 1),  # one or two positions are open, which are filled in as many steps or in one
    "infill_picture": _schedules(24, 1, 2, 4, 8, 12),
}


def best_of(outcomes: Sequence[Outcome]) -> Outcome:
    """The cheapest of one task that loses no more than it may; the first is what they are compared with."""
    enough = (1 - MOST_LOST) * outcomes[0].score
    return min((one for one in outcomes if one.score >= enough), key=lambda one: one.gflop)


def plot(outcomes: Mapping[str, Sequence[Outcome]], path: Path) -> None:
    """A panel a task: score over denoise steps, a line a rule, with the bounds of the schedule."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = -(-len(outcomes) // COLUMNS)
    columns = min(COLUMNS, len(outcomes))
    figure, axes = pyplot.subplots(rows, columns, figsize=(4.2 * columns, 3.4 * rows), squeeze=False)
    for axis in axes.flat[len(outcomes) :]:
        axis.set_axis_off()
    for axis, (task, found) in zip(axes.flat, outcomes.items(), strict=False):
        for name in dict.fromkeys(one.rule for one in found):
            own = sorted((one for one in found if one.rule == name), key=lambda one: one.steps)
            steps = [one.steps for one in own]
            axis.plot(steps, [one.score for one in own], marker="o", ms=4, label=name)
            if name == "schedule":
                axis.fill_between(steps, [one.low for one in own], [one.high for one in own], alpha=0.15)
        axis.set(xscale="log", xlabel="denoise steps of an answer", ylabel="score", ylim=(0, 1.02))
        axis.set_title(task.replace("_", " "), fontsize=10)
        axis.minorticks_off()
        most = max(one.steps for one in found)
        axis.set_xticks(ticks := [step for step in STEPS if step <= 1.5 * most], labels=map(str, ticks))
        axis.legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


HEAD = ("task", "rule", "numbers", "score", "95 %", "n", "steps", "GFLOP an answer", "passes", "seconds", "first sound")


def as_table(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """Markdown, the cheapest rule of each task that loses hardly anything in bold."""
    rows = [HEAD, ("---",) * len(HEAD)]
    for found in outcomes.values():
        chosen = best_of(found)
        rows += [_row(one, chosen=one is chosen) for one in found]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(one: Outcome, *, chosen: bool) -> tuple[str, ...]:
    numbers = ", ".join(f"{name} {value}" for name, value in one.numbers.items() if name != "commit")
    waits = ("" if seconds is None else f"{seconds:.2f} s" for seconds in (one.wait_s, one.first_sound_s))
    rule = f"**{one.rule}**" if chosen else one.rule
    bounds = f"{one.low:.1%} – {one.high:.1%}"
    costs = (f"{one.steps:.1f}", f"{one.gflop:.2f}", f"{one.passes:.1f}")
    return (one.task, rule, numbers, f"{one.score:.1%}", bounds, str(one.num), *costs, *waits)


@dataclass(frozen=True)
class Kept:
    """What was measured before."""

    outcomes: tuple[Outcome, ...] = ()

    def of(self, task: str, rule: Rule, num: int) -> Outcome | None:
        wanted = (task, rule.name, dict(rule.numbers), num)
        return next((one for one in self.outcomes if (one.task, one.rule, one.numbers, one.num) == wanted), None)

    def of_others(self, tasks: Sequence[str]) -> dict[str, list[Outcome]]:
        """By task, those of tasks that are not among `tasks`."""
        found: dict[str, list[Outcome]] = {}
        for one in self.outcomes:
            if one.task not in tasks:
                found.setdefault(one.task, []).append(one)
        return found


def read_outcomes(path: Path | None) -> Kept:
    """Of a file that was not finished; of none at all nothing."""
    if path is None or not path.exists():
        return Kept()
    of_tasks: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
    return Kept(tuple(Outcome(**one) for of_task in of_tasks.values() for one in of_task))


def write_outcomes(outcomes: Mapping[str, Sequence[Outcome]], path: Path | None) -> None:
    if path is not None:
        found = {task: [asdict(one) for one in of_task] for task, of_task in outcomes.items()}
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


@click.command("presets")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="a model folder; default: the embedded model")
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--num", default=100, show_default=True, help="answers a rule")
@click.option("--task", "tasks", multiple=True, type=click.Choice(list(RULES)), help="only these tasks")
@click.option("--threads", default=1, show_default=True)
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="draw the curves here (PNG)")
@click.option("--table", "table_file", type=click.Path(path_type=Path), help="write the table here (Markdown)")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="also write the figures here, one by one; those that are here already are not measured again, and those of "
    "other tasks stay",
)
def presets(
    folder: Path | None,
    cache: Path,
    num: int,
    tasks: tuple[str, ...],
    threads: int,
    plot_file: Path | None,
    table_file: Path | None,
    json_file: Path | None,
) -> None:
    """Measure what each commit rule costs and what it loses."""
    torch.set_num_threads(threads)
    model = load_model(folder or EMBEDDED)
    try:  # what is lacking is said now and not when everything else has been measured
        recogniser = recogniser_of("tiny.en", cache) if not tasks or "text_to_speech" in tasks else None
    except (SetupError, FetchError) as error:
        raise click.ClickException(f"{error}; or leave speech out with --task") from error
    trial = Trial(model, cache, num, recogniser)
    chosen = tasks or [task for task in RULES if trial.tasks[task].recipe in model.recipes]
    trial.check(chosen)
    kept = read_outcomes(json_file)
    outcomes = kept.of_others(chosen)
    for task in chosen:
        for rule in RULES[task]:
            one = kept.of(task, rule, num) or trial.outcome(task, rule, ALONE)
            outcomes.setdefault(task, []).append(one)
            write_outcomes(outcomes, json_file)
            click.echo(f"{task:<16} {rule.name:<16} {rule.numbers}  {one.score:.1%}  {one.gflop:.2f} GFLOP")
    outcomes = {task: outcomes[task] for task in RULES if task in outcomes}
    table = as_table(outcomes)
    click.echo(table)
    if table_file is not None:
        table_file.write_text(table, encoding="utf-8")
    if plot_file is not None:
        plot(outcomes, plot_file)
