"""How often a command, written or spoken, becomes the right tool call: `omni eval tools`.

The tools are of no training set, and the voices that speak the commands neither.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import click

from runtime.engine.engine import Engine
from runtime.engine.request import SpeechPart
from runtime.evaluation.calls import Attempt, Caller, Command, card_of, chance_of, function
from runtime.evaluation.figures import Figure, share, word_errors, write_figures
from runtime.evaluation.opened import cache_option, json_option, model_option, opened
from runtime.evaluation.spoken_lines import load_spoken_lines
from runtime.server.model_card import ModelCard
from runtime.training.data.speech import HELD_OUT_VOICES, SAMPLE_RATE, Line, plain_text

ROOMS, STATES, SONGS, CITIES = ("kitchen", "hall", "bedroom"), ("on", "off"), ("jazz", "rock"), ("Paris", "Oslo")
TOOLS = (
    function("set_light", "Turn a light on or off.", room={"enum": [*ROOMS]}, state={"enum": [*STATES]}),
    function("start_timer", "Start a timer.", minutes={"type": "integer", "minimum": 1, "maximum": 60}),
    function("play_music", "Play some music.", style={"enum": [*SONGS]}, loud={"type": "boolean"}),
    function("get_weather", "Tell the weather.", city={"enum": [*CITIES]}),
)
VOICES_EACH = 2  # that speak a command


def commands() -> list[Command]:
    """Every tool, every value, more than one wording."""
    lights = product(("turn the light {} in the {}", "{} with the light in the {}, please"), STATES, ROOMS)
    timers = product(("start a timer for {} minutes", "timer, {} minutes"), (("five", 5), ("12", 12), ("twenty", 20)))
    music = product(("play {} music {}", "music: {}, {}"), SONGS, (("loud", True), ("quietly", False)))
    weather = product(("what is the weather in {}", "weather {} today"), CITIES)
    return [
        *(
            Command(told.format(state, room), "set_light", {"room": room, "state": state})
            for told, state, room in lights
        ),
        *(Command(told.format(said), "start_timer", {"minutes": number}) for told, (said, number) in timers),
        *(Command(told.format(s, how), "play_music", {"style": s, "loud": loud}) for told, s, (how, loud) in music),
        *(Command(told.format(city), "get_weather", {"city": city}) for told, city in weather),
    ]


def spoken_lines() -> list[Line]:
    """Every command in some of the held-out voices, each of them about as often."""
    said = [command.words.replace("12", "twelve") for command in commands() for _ in range(VOICES_EACH)]
    return [Line(f"{words}.", HELD_OUT_VOICES[i % len(HELD_OUT_VOICES)], 1.0) for i, words in enumerate(said)]


def spoken_commands(cache: Path) -> list[Command]:
    """The commands as they are said. Made at the first call, and kept in `cache`."""
    utterances = load_spoken_lines("commands", spoken_lines(), cache)
    each = [command for command in commands() for _ in range(VOICES_EACH)]
    return [
        replace(command, words=utterance.text, part=SpeechPart(utterance.pcm, SAMPLE_RATE))
        for command, utterance in zip(each, utterances, strict=True)
    ]


def figures(way: str, asked: Sequence[Command], attempts: Sequence[Attempt]) -> list[Figure]:
    pairs = list(zip(asked, attempts, strict=True))
    by_chance = sum(chance_of(command, TOOLS) for command in asked) / len(asked)
    all_right = [(a.tool, a.arguments) == (c.tool, c.arguments) for c, a in pairs]
    return [
        share(f"{way}: valid", [attempt.tool is not None for attempt in attempts]),
        share(f"{way}: right tool", [a.tool == c.tool for c, a in pairs], chance=1 / len(TOOLS)),
        share(f"{way}: right tool and arguments", all_right, chance=by_chance),
    ]


async def written(engine: Engine, card: ModelCard) -> list[Figure]:
    """Written commands, every way."""
    asked, caller = commands(), Caller(engine, card, TOOLS)
    told: list[Figure] = []
    for way, call in caller.ways.items():
        told += figures(f"written commands, {way}", asked, [await call(command) for command in asked])
    return told


async def spoken(engine: Engine, card: ModelCard, asked: Sequence[Command]) -> list[Figure]:
    """Spoken commands as served, where a call may be made and where one has to be; and what was heard of them."""
    told: list[Figure] = []
    for way, forced in (("as served", False), ("a call required", True)):
        caller = Caller(engine, card, TOOLS, forced=forced)
        told += figures(f"spoken commands, {way}", asked, [await caller.served(command) for command in asked])
    heard = [plain_text(text) for text in caller.heard]
    pairs = [(plain_text(command.words), text) for command, text in zip(asked, heard, strict=True)]
    return [*told, word_errors("spoken commands: word errors of what is heard", pairs)]


@click.command("tools")
@model_option
@cache_option
@click.option("--written-only", is_flag=True, help="leave out what is spoken, which needs the extra train")
@json_option
def tools(folder: Path | None, cache: Path, written_only: bool, json_file: Path | None) -> None:
    """Measure tool calls from written and spoken commands."""
    with opened(folder) as (model, engine):
        told = asyncio.run(written(engine, card_of(model)))
        if not written_only:
            told += asyncio.run(spoken(engine, card_of(model), spoken_commands(cache)))
    for figure in told:
        click.echo(figure)
    write_figures(told, json_file)
