"""How often words become the right answer of a type: `omni eval forms`.

An answer of a type is a call of one tool that has to be called, so it is judged like tool calls, three ways on the same
sentences: the form as it is served; the form with the model alone, nothing taken from the words; and free writing.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from runtime.engine.engine import Engine
from runtime.engine.model import EMBEDDED, load_model
from runtime.evaluation.figures import Figure, share
from runtime.evaluation.tool_calls import Attempt, Caller, Command, card_of, function
from runtime.server.model_card import ModelCard

FRUIT, CITIES, DAYS = ("apple", "banana", "lemon"), ("Paris", "Oslo", "Rome"), ("Monday", "Friday", "Sunday")
ORDER = function(
    "Order",
    "Order fruit.",
    count={"type": "integer", "minimum": 1, "maximum": 10},
    fruit={"enum": [*FRUIT]},
    wrapped={"type": "boolean"},
)
BOOKING = function(
    "Booking", "Book a room.", city={"enum": [*CITIES]}, nights={"type": "integer", "minimum": 1, "maximum": 14}
)
REMINDER = function(
    "Reminder", "Remind of something.", day={"enum": [*DAYS]}, hour={"type": "integer", "minimum": 0, "maximum": 23}
)
FORMS = (ORDER, BOOKING, REMINDER)
NUMBERS = (("two", 2), ("5", 5), ("nine", 9))


def sentences() -> list[Command]:
    """Every form, every choice, two wordings each."""
    asked: list[Command] = []
    for (said, number), fruit, city, day in zip(NUMBERS, FRUIT, CITIES, DAYS, strict=True):
        booking, reminder = {"city": city, "nights": number}, {"day": day, "hour": number}
        asked += [
            Command(f"{said} {fruit}s please, wrapped", "Order", _order(number, fruit, True)),
            Command(f"I would like {said} {fruit}s, not wrapped", "Order", _order(number, fruit, False)),
            Command(f"a room in {city} for {said} nights", "Booking", booking),
            Command(f"{said} nights, {city}", "Booking", booking),
            Command(f"remind me on {day} at {said}", "Reminder", reminder),
            Command(f"call mother, {day}, {said} o'clock", "Reminder", reminder),
        ]
    return asked


def _order(count: int, fruit: str, wrapped: bool) -> dict[str, object]:
    return {"count": count, "fruit": fruit, "wrapped": wrapped}


def figures(way: str, asked: Sequence[Command], attempts: Sequence[Attempt]) -> list[Figure]:
    """Whole answers that fit and that are right, and single values that are right."""
    pairs = [(command.arguments, attempt.arguments or {}) for command, attempt in zip(asked, attempts, strict=True)]
    values = [told.get(name) == value for wanted, told in pairs for name, value in wanted.items()]
    return [
        share(f"{way}: valid", [attempt.tool is not None for attempt in attempts]),
        share(f"{way}: values right", values),
        share(f"{way}: all right", [told == wanted for wanted, told in pairs]),
    ]


async def measured(engine: Engine, card: ModelCard) -> list[Figure]:
    asked = sentences()
    callers = {form.name: Caller(engine, card, (form,), forced=True) for form in FORMS}
    told: list[Figure] = []
    for way, name in (("as served", "served"), ("model alone", "alone"), ("free writing", "free")):
        attempts = [await getattr(callers[command.tool], name)(command) for command in asked]
        told += figures(way, asked, attempts)
    return told


@click.command("forms")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="a model folder; default: the embedded model")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="also write the figures here")
def forms(folder: Path | None, json_file: Path | None) -> None:
    """Measure answers of a type from written sentences."""
    from runtime.engine.denoising import DenoisingEngine
    from runtime.executors.in_process import InProcessExecutor

    model = load_model(folder or EMBEDDED)
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    try:
        told = asyncio.run(measured(engine, card_of(model)))
    finally:
        engine.close()
    for figure in told:
        click.echo(str(figure))
    if json_file is not None:
        json_file.write_text(json.dumps({figure.measure: asdict(figure) for figure in told}, indent=2) + "\n")
