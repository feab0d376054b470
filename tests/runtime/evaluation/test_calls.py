import asyncio

import pytest

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.request import SpeechPart, TextPart
from runtime.evaluation.calls import Attempt, Caller, Command, attempt, card_of, chance_of
from runtime.evaluation.tool_calls import TOOLS, commands
from runtime.executors.in_process import InProcessExecutor
from tests.support.sentences import sung
from tests.support.tiny_model import tiny_model


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
    assert attempt(name, arguments, TOOLS) == Attempt(None, None)


def test_chance_guesses_the_tool_and_every_value() -> None:
    light, timer, music = (Command("x", name, {}) for name in ("set_light", "start_timer", "play_music"))
    assert [chance_of(each, TOOLS) for each in (light, timer, music)] == [1 / 4 / 6, 1 / 4 / 60, 1 / 4 / 4]


def test_a_command_comes_as_it_is_said() -> None:
    (sentence,) = [sung("a cat")]
    speech = SpeechPart(sentence.pcm, 24_000)
    assert Command("a cat", "x", {}).turns[0].parts == (TextPart("a cat"),)
    assert Command("a cat", "x", {}, part=speech).turns[0].parts == (speech,)


def test_a_model_that_knows_nothing_calls_validly_from_a_skeleton() -> None:
    model = tiny_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))

    async def called() -> list[tuple[Attempt, Attempt, Attempt]]:
        caller = Caller(engine, card_of(model), TOOLS)
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
