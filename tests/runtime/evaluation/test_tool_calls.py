import asyncio
import json

import pytest

from runtime.engine.denoising import DenoisingEngine
from runtime.evaluation.tool_calls import TOOLS, Attempt, Caller, Command, _attempt, card_of, commands, figures
from runtime.executors.in_process import InProcessExecutor
from tests.support.tiny_model import tiny_model


def test_every_command_has_its_call() -> None:
    asked = commands()
    assert len({command.words for command in asked}) == len(asked) == 30
    assert {command.tool for command in asked} == {tool.name for tool in TOOLS}
    for command in asked:
        assert _attempt(command.tool, json.dumps(command.arguments)) == Attempt(command.tool, command.arguments)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("nix", "{}"),
        ("start_timer", '{"minutes": 99}'),
        ("start_timer", "[1]"),
        ("set_light", '{"room": "hall"}'),
        ("play_music", '{"style": "jazz", "loud": 1}'),
    ],
)
def test_what_is_no_call(name: str, arguments: str) -> None:
    assert _attempt(name, arguments) == Attempt(None, None)


def test_figures() -> None:
    command = Command("x", "start_timer", {"minutes": 5})
    attempts = [Attempt(None, None), Attempt("start_timer", {"minutes": 4}), Attempt("start_timer", {"minutes": 5})]
    assert [figure.value for figure in figures("w", [command] * 3, attempts)] == [2 / 3, 2 / 3, 1 / 3]


def test_a_model_that_knows_nothing_calls_validly_from_a_skeleton() -> None:
    model = tiny_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))

    async def called() -> list[tuple[Attempt, Attempt, Attempt]]:
        caller = Caller(engine, card_of(model))
        return [
            (await caller.served(command), await caller.alone(command), await caller.free(command))
            for command in commands()[::6]
        ]

    try:
        attempts = asyncio.run(called())
    finally:
        engine.close()
    assert all(served.tool is not None and alone.tool is not None for served, alone, _ in attempts)
    assert all(free == Attempt(None, None) for *_, free in attempts)
