"""How a person sets the generation in a shell: `--speak`, `--recipe NAME`, `--set SLOT.SETTING=VALUE`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from omnisdk.errors import SettingsError
from omnisdk.settings import SlotSettings

Command = TypeVar("Command", bound=Callable[..., Any])
FORM = "SLOT.SETTING=VALUE, as in image.steps=24"


def generation_options(command: Command) -> Command:
    """Adds the options `speak`, `recipe` and `numbers`."""
    for option in (
        click.option("--set", "numbers", multiple=True, metavar="SLOT.SETTING=VALUE", help="As in image.steps=24."),
        click.option("--recipe", help="A recipe of the model by name; `omni recipes` prints them."),
        click.option("--speak", is_flag=True, help="Ask for a spoken answer, of a model that speaks."),
    ):
        command = option(command)
    return command


def slots_of(numbers: Iterable[str]) -> dict[str, SlotSettings] | None:
    """The settings of slots that `numbers` spell out, None if there are none. Raises SettingsError."""
    slots: dict[str, SlotSettings] = {}
    for number in numbers:
        slot, setting, value = _split(number)
        try:
            slots[slot] = slots.get(slot, SlotSettings()).merged(SlotSettings.model_validate({setting: value}))
        except SettingsError as error:
            raise SettingsError(f"{number}: {error}") from None
    return slots or None


def _split(number: str) -> tuple[str, str, str]:
    name, equals, value = number.partition("=")
    slot, dot, setting = name.strip().partition(".")
    if not (equals and dot and slot and setting):
        raise SettingsError(f"{number!r} is no setting; write {FORM}")
    return slot, setting, value.strip()
