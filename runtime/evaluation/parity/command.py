"""`omni parity`: golden data recorded from the reference, against what this package computes."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from runtime.evaluation.parity.case import Case, Outcome, run
from runtime.evaluation.parity.parts import PARTS


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--part", "parts", multiple=True, type=click.Choice(list(PARTS)), help="This part alone; may be repeated."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Also write the outcomes here.")
def parity(folder: Path, parts: tuple[str, ...], json_file: Path | None) -> None:
    """Run every case of a golden FOLDER and compare.

    One line a case: exact, or the largest difference against its tolerance. The exit status is 1 if one fails.
    """
    outcomes: list[Outcome] = []
    for case in cases(folder, parts or tuple(PARTS)):
        outcomes.append(run(case))
        click.echo(str(outcomes[-1]))
    if not outcomes:
        raise click.ClickException(
            f"{folder}: no golden cases here; a golden folder holds some of the folders "
            f"{', '.join(name for name in PARTS if name != 'manifest')}"
        )
    failed = sum(not outcome.passed for outcome in outcomes)
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=2) + "\n")
    click.echo(f"{len(outcomes) - failed} passed, {failed} failed")
    if failed:
        raise SystemExit(1)


def cases(folder: Path, parts: Sequence[str]) -> Iterator[Case]:
    """The cases of the named parts. A part whose files cannot be read is a case that fails."""
    for name in parts:
        try:
            yield from PARTS[name](folder)
        except Exception as error:  # noqa: BLE001 - a damaged part must not hide the others
            yield Case(name, _raises(error))


def _raises(error: Exception):  # type: ignore[no-untyped-def]
    def check(_comparison: object) -> None:
        raise error

    return check
