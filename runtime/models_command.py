"""`omni models`: what a model on disk is, before it is loaded."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from runtime.config import EMBEDDED_MODEL
from runtime.engine.blueprint import Blueprint
from runtime.engine.plan import CODECS_DTYPE, Plan, plan, published_networks
from runtime.engine.verification import PartReport, verify
from runtime.models.checkpoints import CheckpointError

model_path = click.argument("model", type=click.Path(path_type=Path), required=False)
json_option = click.option(
    "--json", "json_file", type=click.Path(allow_dash=True, path_type=Path), help="Also write it here; - instead."
)


@click.command("verify")
@model_path
@json_option
def verify_command(model: Path | None, json_file: Path | None) -> None:
    """Tell of each part of MODEL whether it can be loaded.

    MODEL is a model file or the folder that holds it.  [default: the embedded model]

    Missing, unexpected and misshapen tensors, damaged files, wrong dtypes and parts that do not go together are all
    told, from the headers of the files alone. Ends with 1 if there are any.
    """
    try:
        reports = verify(model or EMBEDDED_MODEL)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from None
    _tell(verification_lines(reports), {"parts": [asdict(report) for report in reports]}, json_file)
    if any(report.problems for report in reports):
        raise click.exceptions.Exit(1)


@click.command("plan")
@model_path
@click.option("--tokens", type=click.IntRange(min=2), default=560, show_default=True, help="Of the canvas.")
@click.option("--masked", type=click.IntRange(min=1), default=260, show_default=True, help="Of them still masked.")
@json_option
def plan_command(model: Path | None, tokens: int, masked: int, json_file: Path | None) -> None:
    """Compute what MODEL takes: parameters, bytes, operations of a denoise step, and which card holds it.

    MODEL is a model file or the folder that holds it.  [default: the published model's sizes]

    All is arithmetic over the networks' shapes; nothing is measured and no weight is read.
    """
    try:
        networks = published_networks() if model is None else networks_of(model)
    except CheckpointError as error:
        raise click.ClickException(str(error)) from None
    planned = plan(networks, tokens, min(masked, tokens))
    cards = [asdict(card) | {"fits": card.fits} for card in planned.cards]
    _tell(plan_lines(planned), asdict(planned) | {"cards": cards, "measured": False}, json_file)


def networks_of(model: Path) -> dict[str, Any]:
    blueprint = Blueprint.read(model, download=False)
    return {name: find().network for name, find in blueprint.networks()}


def verification_lines(reports: Iterable[PartReport]) -> Iterator[str]:
    for report in reports:
        files = f"{len(report.files)} file{'s' * (len(report.files) != 1)}"
        tensors = f"{report.num_tensors} tensors" if report.num_tensors else ""
        size = _size(report.num_bytes) if report.files else ""
        found = ", ".join(filter(None, [files, tensors, size, " and ".join(report.dtypes)]))
        yield f"{'WRONG' if report.problems else 'ok':<6} {report.name:<18} {found}"
        yield from (f"       - {problem}" for problem in report.problems)


def plan_lines(planned: Plan) -> Iterator[str]:
    yield "Arithmetic over the networks' shapes; nothing here was measured on a GPU."
    for part in planned.parts:
        sizes = ", ".join(f"{_size(num_bytes)} in {dtype}" for dtype, num_bytes in part.num_bytes.items())
        yield f"{part.name:<18} {part.num_parameters / 1e6:>8,.1f} M parameters: {sizes}"
    step = planned.step
    yield f"a denoise step of {step.tokens} tokens, {step.masked} of them masked, a multiply-add counting as two:"
    yield f"  layers             {step.layers / 1e9:9,.1f} GFLOP  matrix products and attention, 2 m n k each"
    yield f"  head, masked rows  {step.head_masked / 1e9:9,.1f} GFLOP  all that is needed"
    yield f"  head, all rows     {step.head_all / 1e9:9,.1f} GFLOP"
    for dtype, num_bytes in step.activation_bytes.items():
        yield f"  activations in {dtype}: {_size(num_bytes)} at most, attention scores written out, without the sampler"
    for card in planned.cards:
        verdict = "fits" if card.fits else "does not fit"
        yield (
            f"{card.card_bytes / 1e9:.0f} GB card, backbone in {card.dtype}, the rest in {CODECS_DTYPE}: "
            f"{_size(card.needed_bytes)}, {verdict}"
        )


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.2f} MB"


def _tell(lines: Iterable[str], figures: dict[str, Any], json_file: Path | None) -> None:
    written = json.dumps(figures, indent=2, default=str) + "\n"
    if json_file == Path("-"):
        click.echo(written, nl=False)
        return
    for line in lines:
        click.echo(line)
    if json_file is not None:
        json_file.write_text(written)


COMMANDS = (verify_command, plan_command)
