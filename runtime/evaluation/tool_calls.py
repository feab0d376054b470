"""How often a command in words becomes the right tool call: `omni eval tools`.

Three ways on the same commands: the skeleton as it is served; the skeleton with the model alone, nothing taken from the
words; and free writing, where the model writes the JSON itself.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import click

from omnisdk.protocol.settings import FunctionTool
from omnisdk.protocol.skeleton import skeleton_of
from runtime.engine.engine import Engine
from runtime.engine.model import EMBEDDED, OmniModel, load_model
from runtime.engine.output import Finished
from runtime.engine.recipe import Recipe, SlotRecipe
from runtime.engine.request import GenerationRequest, TextPart, Turn
from runtime.evaluation.figures import Figure, share
from runtime.server.engine_bridge import EngineBridge
from runtime.server.model_card import ModelCard
from runtime.server.tools.deciding import Deciding
from runtime.server.tools.offer import ARGUMENTS, Offer, call_recipe, with_tools

FREE = Recipe("free", (SlotRecipe("text", "text", length=40, steps=20),))


def function(name: str, description: str, **properties: dict[str, Any]) -> FunctionTool:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return FunctionTool(name=name, description=description, parameters=schema)


ROOMS, STATES, SONGS, CITIES = ("kitchen", "hall", "bedroom"), ("on", "off"), ("jazz", "rock"), ("Paris", "Oslo")
TOOLS = (
    function("set_light", "Turn a light on or off.", room={"enum": [*ROOMS]}, state={"enum": [*STATES]}),
    function("start_timer", "Start a timer.", minutes={"type": "integer", "minimum": 1, "maximum": 60}),
    function("play_music", "Play some music.", style={"enum": [*SONGS]}, loud={"type": "boolean"}),
    function("get_weather", "Tell the weather.", city={"enum": [*CITIES]}),
)


@dataclass(frozen=True)
class Command:
    words: str
    tool: str
    arguments: dict[str, Any]


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


@dataclass(frozen=True)
class Attempt:
    """tool, arguments: None where what came is no call of a tool with arguments that fit."""

    tool: str | None
    arguments: dict[str, Any] | None


class Caller:
    """Has one model call tools, request after request. forced: whether one has to be called."""

    def __init__(
        self, engine: Engine, card: ModelCard, tools: Sequence[FunctionTool] = TOOLS, *, forced: bool = False
    ) -> None:
        self._bridge, self._card, self._count = EngineBridge(engine), card, 0
        self._tools, self._forced = tuple(tools), forced

    async def served(self, command: Command) -> Attempt:
        """As a client gets it, with tool_choice auto unless a call is forced."""
        decided = await self._deciding().decide(Offer(self._tools, self._forced), _turns(command))
        if decided is None:
            return Attempt(None, None)
        recipe = call_recipe(decided.tool, decided.skeleton)
        filled = decided.skeleton.filled(await self._values(recipe, decided.turns))
        return _attempt(decided.tool.name, filled, self._tools)

    async def alone(self, command: Command) -> Attempt:
        """The model chooses among all tools and all values."""
        decided = await self._deciding().decide(Offer(self._tools, forced=True), _turns(command))
        assert decided is not None
        skeleton = skeleton_of(decided.tool.parameters, "", "tool")
        values = await self._values(call_recipe(decided.tool, skeleton), decided.turns)
        return _attempt(decided.tool.name, skeleton.filled(values), self._tools)

    async def free(self, command: Command) -> Attempt:
        """The model writes the call itself."""
        finished = await self._ask(FREE, with_tools(_turns(command), self._tools))
        try:
            written = json.loads(finished.slots[0].text or "")
            return _attempt(written["name"], json.dumps(written["arguments"]), self._tools)
        except (ValueError, KeyError, TypeError):
            return Attempt(None, None)

    def _deciding(self) -> Deciding:
        return Deciding(self._card, self._ask, lambda _: None)

    async def _values(self, recipe: Recipe, turns: tuple[Turn, ...]) -> dict[str, str]:
        finished = await self._ask(recipe, turns) if recipe.slots else None
        slots = () if finished is None else finished.slots
        return {slot.name.removeprefix(ARGUMENTS): slot.text or "" for slot in slots}

    async def _ask(self, recipe: Recipe, turns: tuple[Turn, ...]) -> Finished:
        self._count += 1
        return await self._bridge.ask(GenerationRequest(f"call-{self._count}", turns, recipe, partial_every=0))


def _turns(command: Command) -> tuple[Turn, ...]:
    return (Turn("user", (TextPart(command.words),)),)


def _attempt(name: str, arguments: str, tools: Sequence[FunctionTool] = TOOLS) -> Attempt:
    """Judged by the schema's own words: names of values, and what they may be."""
    tool = next((tool for tool in tools if tool.name == name), None)
    given = json.loads(arguments)
    properties = (tool.parameters or {})["properties"] if tool is not None else {}
    fits = isinstance(given, dict) and given.keys() == properties.keys()
    if tool is None or not fits or not all(_fits(given[key], properties[key]) for key in given):
        return Attempt(None, None)
    return Attempt(name, given)


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    if "enum" in schema:
        return value in schema["enum"]
    if schema["type"] == "boolean":
        return isinstance(value, bool)
    return isinstance(value, int) and schema["minimum"] <= value <= schema["maximum"]


def figures(way: str, asked: Sequence[Command], attempts: Sequence[Attempt]) -> list[Figure]:
    pairs = list(zip(asked, attempts, strict=True))
    return [
        share(f"{way}: valid", [attempt.tool is not None for attempt in attempts]),
        share(f"{way}: right tool", [a.tool == c.tool for c, a in pairs], chance=1 / len(TOOLS)),
        share(f"{way}: right tool and arguments", [(a.tool, a.arguments) == (c.tool, c.arguments) for c, a in pairs]),
    ]


async def measured(engine: Engine, card: ModelCard) -> list[Figure]:
    asked, caller = commands(), Caller(engine, card)
    ways = {"as served": caller.served, "model alone": caller.alone, "free writing": caller.free}
    told: list[Figure] = []
    for way, call in ways.items():
        told += figures(way, asked, [await call(command) for command in asked])
    return told


def card_of(model: OmniModel) -> ModelCard:
    return ModelCard(model.name, model.recipes)


@click.command("tools")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="a model folder; default: the embedded model")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="also write the figures here")
def tools(folder: Path | None, json_file: Path | None) -> None:
    """Measure tool calls from written commands."""
    from runtime.engine.denoising import DenoisingEngine
    from runtime.executors.in_process import InProcessExecutor

    model = load_model(folder or EMBEDDED)
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    try:
        told = asyncio.run(measured(engine, card_of(model)))
    finally:
        engine.close()
    for figure in told:
        click.echo(figure)
    if json_file is not None:
        json_file.write_text(json.dumps({figure.measure: asdict(figure) for figure in told}, indent=2) + "\n")
