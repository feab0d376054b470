"""How often words become the right answer of a type: `omni eval forms`.

An answer of a type is a call of one tool that has to be called, so it is judged as tool calls are.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from runtime.engine.engine import Engine
from runtime.evaluation.calls import Attempt, Caller, Command, card_of, chance_of, function
from runtime.evaluation.figures import Figure, share, write_figures
from runtime.evaluation.opened import json_option, model_option, opened
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
    forms_of = {form.name: (form,) for form in FORMS}
    by_chance = sum(chance_of(command, forms_of[command.tool]) for command in asked) / len(asked)
    return [
        share(f"answers of a type, {way}: valid", [attempt.tool is not None for attempt in attempts]),
        share(f"answers of a type, {way}: values right", values),
        share(f"answers of a type, {way}: all right", [told == wanted for wanted, told in pairs], chance=by_chance),
    ]


async def measured(engine: Engine, card: ModelCard) -> list[Figure]:
    asked = sentences()
    ways = {form.name: Caller(engine, card, (form,), forced=True).ways for form in FORMS}
    told: list[Figure] = []
    for way in ways[ORDER.name]:
        told += figures(way, asked, [await ways[command.tool][way](command) for command in asked])
    return told


@click.command("forms")
@model_option
@json_option
def forms(folder: Path | None, json_file: Path | None) -> None:
    """Measure answers of a type from written sentences."""
    with opened(folder) as (model, engine):
        told = asyncio.run(measured(engine, card_of(model)))
    for figure in told:
        click.echo(figure)
    write_figures(told, json_file)
