from typing import Any

import click
import pytest
from click.testing import CliRunner

from clients.terminal.generation import generation_options, slots_of
from omnisdk.errors import SettingsError
from omnisdk.settings import SlotSettings


def test_numbers_of_several_slots() -> None:
    slots = slots_of(["image.steps=24", "image.temperature = 0.7", "text.schedule=cosine"])
    assert slots == {"image": SlotSettings(steps=24, temperature=0.7), "text": SlotSettings(schedule="cosine")}
    assert slots_of([]) is None


@pytest.mark.parametrize(
    ("number", "told"),
    [
        ("steps=24", "'steps=24' is no setting; write SLOT.SETTING=VALUE, as in image.steps=24"),
        ("image.steps", "is no setting"),
        ("image.=3", "is no setting"),
        ("image.steps=0", "image.steps=0: setting 'steps' got '0': input should be greater than or equal to 1"),
        ("image.steps=many", "image.steps=many: .* valid integer"),
        ("image.colour=1", "there is no setting 'colour'; allowed are length, steps"),
    ],
)
def test_wrong_numbers(number: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        slots_of([number])


def test_the_options() -> None:
    given: dict[str, Any] = {}

    @click.command()
    @generation_options
    def command(**options: Any) -> None:
        given.update(options)

    CliRunner().invoke(command, ["--speak", "--recipe", "captioning", "--set", "a.steps=1", "--set", "b.steps=2"])
    assert given == {"speak": True, "recipe": "captioning", "numbers": ("a.steps=1", "b.steps=2")}
