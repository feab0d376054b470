import asyncio
import json
from collections import Counter
from dataclasses import replace

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.request import SpeechPart
from runtime.evaluation.calls import Attempt, Command, attempt, card_of
from runtime.evaluation.tool_calls import TOOLS, commands, figures, spoken, spoken_lines
from runtime.executors.in_process import InProcessExecutor
from tests.support.sentences import sung
from tests.support.tiny_model import tiny_model


def test_every_command_has_its_call() -> None:
    asked = commands()
    assert len({command.words for command in asked}) == len(asked) == 30
    assert {command.tool for command in asked} == {tool.name for tool in TOOLS}
    for command in asked:
        told = attempt(command.tool, json.dumps(command.arguments), TOOLS)
        assert told == Attempt(command.tool, command.arguments)


def test_figures() -> None:
    command = Command("x", "start_timer", {"minutes": 5})
    attempts = [Attempt(None, None), Attempt("start_timer", {"minutes": 4}), Attempt("start_timer", {"minutes": 5})]
    assert [figure.value for figure in figures("w", [command] * 3, attempts)] == [2 / 3, 2 / 3, 1 / 3]


def test_voices_that_nobody_trained_on_say_every_command() -> None:
    lines = spoken_lines()
    assert set(Counter(line.voice for line in lines).values()) == {15}
    assert all(not any(letter.isdigit() for letter in line.spoken) for line in lines)


def test_spoken_commands_are_heard_and_a_call_that_is_required_is_valid() -> None:
    model = tiny_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    speech = SpeechPart(sung("a cat").pcm, 24_000)
    asked = [replace(command, part=speech) for command in commands()[::8]]
    try:
        told = {figure.measure: figure for figure in asyncio.run(spoken(engine, card_of(model), asked))}
    finally:
        engine.close()
    assert told["spoken commands, a call required: valid"].value == 1
    assert told["spoken commands: word errors of what is heard"].num == len(asked) == 4
    assert "spoken commands, as served: right tool and arguments" in told
