"""Writes measured figures into the model card, so that it says what was measured: `omni eval card FIGURES…`."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from runtime.engine.model import EMBEDDED
from runtime.evaluation.figures import Figure, figure_of

BEGIN, END = "<!-- figures: written by `omni eval card` -->", "<!-- end of figures -->"
HEAD = "| measure | value | 95 % | n | ceiling | chance | wanted |\n|---|---|---|---|---|---|---|"


def figures_in(found: Any) -> Iterator[Figure]:
    """All figures in what was read of a JSON file, of one command or of several."""
    if isinstance(found, dict) and "measure" in found:
        yield figure_of(found)
    elif isinstance(found, dict):
        for below in found.values():
            yield from figures_in(below)


def as_table(figures: Sequence[Figure]) -> str:
    return "\n".join([HEAD, *map(_row, figures)])


def _row(figure: Figure) -> str:
    def known(value: float | None) -> str:
        return "" if value is None else figure.told(value)

    wanted = figure.wanted
    reached = wanted is not None and wanted.reached(figure.value, figure.ceiling)
    said = "" if wanted is None else f"{wanted}: {'reached' if reached else 'missed'}"
    bounds = f"{figure.told(figure.low)} – {figure.told(figure.high)}"
    cells = (figure.measure, figure.told(figure.value), bounds, figure.num, known(figure.ceiling))
    return f"| {' | '.join(map(str, cells))} | {known(figure.chance)} | {said} |"


def with_table(card: str, table: str) -> str:
    """The card with this table between its marks. Raises ValueError where they are missing."""
    if card.count(BEGIN) != 1 or card.count(END) != 1:
        raise ValueError(f"the table's place is not marked; put {BEGIN!r} and {END!r} around it, each on its own line")
    before, _, rest = card.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.partition(END)[2]}"


@click.command("card")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--card", "card_file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=EMBEDDED / "README.md", help="the model card  [default: the embedded model's]",
)  # fmt: skip
def card(files: tuple[Path, ...], card_file: Path) -> None:
    """Write the figures of --json FILES into the model card, in their order; of a measure twice, the last."""
    figures: dict[str, Figure] = {}
    for path in files:
        found = figures_in(json.loads(path.read_text(encoding="utf-8")))
        figures |= {figure.measure: figure for figure in found}
    if not figures:
        raise click.ClickException("no figures are in these files; give what `omni eval … --json FILE` wrote")
    try:
        written = with_table(card_file.read_text(encoding="utf-8"), as_table(list(figures.values())))
    except ValueError as error:
        raise click.ClickException(f"{card_file}: {error}") from None
    card_file.write_text(written, encoding="utf-8")
    click.echo(f"{len(figures)} figures written to {card_file}")
