"""Has a model call tools, three ways: the skeleton as it is served; the skeleton with the model alone, nothing taken
from the words; and free writing, where the model writes the JSON itself.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omnisdk.protocol.settings import FunctionTool
from omnisdk.protocol.skeleton import skeleton_of
from runtime.engine.engine import Engine
from runtime.engine.model import OmniModel
from runtime.engine.output import Finished
from runtime.engine.recipe import Recipe, SlotRecipe
from runtime.engine.request import GenerationRequest, Part, TextPart, Turn
from runtime.server.engine_bridge import EngineBridge
from runtime.server.model_card import ModelCard
from runtime.server.tools.deciding import Deciding
from runtime.server.tools.offer import ARGUMENTS, Offer, call_recipe, with_tools

FREE = Recipe("free", (SlotRecipe("text", "text", length=40, steps=20),))


def function(name: str, description: str, **properties: dict[str, Any]) -> FunctionTool:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return FunctionTool(name=name, description=description, parameters=schema)


@dataclass(frozen=True)
class Command:
    """part: how it comes, if not in writing."""

    words: str
    tool: str
    arguments: dict[str, Any]
    part: Part | None = None

    @property
    def turns(self) -> tuple[Turn, ...]:
        return (Turn("user", (self.part or TextPart(self.words),)),)


@dataclass(frozen=True)
class Attempt:
    """tool, arguments: None where what came is no call of a tool with arguments that fit."""

    tool: str | None
    arguments: dict[str, Any] | None


class Caller:
    """Has one model call tools, request after request. forced: whether one has to be called."""

    def __init__(self, engine: Engine, card: ModelCard, tools: Sequence[FunctionTool], *, forced: bool = False) -> None:
        self._bridge, self._card, self._count = EngineBridge(engine), card, 0
        self._tools, self._forced = tuple(tools), forced
        self.heard: list[str] = []  # what was understood of the commands that were spoken

    @property
    def ways(self) -> Mapping[str, Callable[[Command], Awaitable[Attempt]]]:
        return {"as served": self.served, "model alone": self.alone, "free writing": self.free}

    async def served(self, command: Command) -> Attempt:
        """As a client gets it, with tool_choice auto unless a call is forced."""
        decided = await self._deciding().decide(Offer(self._tools, self._forced), command.turns)
        if decided is None:
            return Attempt(None, None)
        recipe = call_recipe(decided.tool, decided.skeleton)
        filled = decided.skeleton.filled(await self._values(recipe, decided.turns))
        return attempt(decided.tool.name, filled, self._tools)

    async def alone(self, command: Command) -> Attempt:
        """The model chooses among all tools and all values."""
        decided = await self._deciding().decide(Offer(self._tools, forced=True), command.turns)
        assert decided is not None
        skeleton = skeleton_of(decided.tool.parameters, "", "tool")
        values = await self._values(call_recipe(decided.tool, skeleton), decided.turns)
        return attempt(decided.tool.name, skeleton.filled(values), self._tools)

    async def free(self, command: Command) -> Attempt:
        """The model writes the call itself."""
        finished = await self._ask(FREE, with_tools(command.turns, self._tools))
        try:
            written = json.loads(finished.slots[0].text or "")
            return attempt(written["name"], json.dumps(written["arguments"]), self._tools)
        except (ValueError, KeyError, TypeError):
            return Attempt(None, None)

    def _deciding(self) -> Deciding:
        return Deciding(self._card, self._ask, lambda slot: self.heard.append(slot.text or ""))

    async def _values(self, recipe: Recipe, turns: tuple[Turn, ...]) -> dict[str, str]:
        finished = await self._ask(recipe, turns) if recipe.slots else None
        slots = () if finished is None else finished.slots
        return {slot.name.removeprefix(ARGUMENTS): slot.text or "" for slot in slots}

    async def _ask(self, recipe: Recipe, turns: tuple[Turn, ...]) -> Finished:
        self._count += 1
        return await self._bridge.ask(GenerationRequest(f"call-{self._count}", turns, recipe, partial_every=0))


def attempt(name: str, arguments: str, tools: Sequence[FunctionTool]) -> Attempt:
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


def chance_of(command: Command, tools: Sequence[FunctionTool]) -> float:
    """Of guessing all the command's arguments, its tool among `tools` with them."""
    tool = next(tool for tool in tools if tool.name == command.tool)
    chance = 1 / len(tools)
    for schema in (tool.parameters or {})["properties"].values():
        chance /= _num_values(schema)
    return chance


def _num_values(schema: dict[str, Any]) -> int:
    if "enum" in schema:
        return len(schema["enum"])
    return 2 if schema["type"] == "boolean" else int(schema["maximum"] - schema["minimum"] + 1)


def card_of(model: OmniModel) -> ModelCard:
    return ModelCard(model.name, model.recipes)
