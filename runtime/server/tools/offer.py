"""Which tools a turn may call, and how the model is told of them and asked for one."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET

from omnisdk.protocol.items import FunctionCallOutput, Item
from omnisdk.protocol.settings import FunctionTool, SessionSettings, ToolChoiceFunction
from omnisdk.protocol.skeleton import Skeleton
from runtime.engine.recipe import Recipe, SlotRecipe
from runtime.engine.request import TextPart, Turn

TOOL = "tool"  # the slot in which a tool is chosen
ARGUMENTS = "arguments."  # before the name of a value's slot
BEFORE_NAME, BEHIND_NAME = '{"name": "', '", "arguments": '
VALUE_LENGTH = 8  # tokens of a string
MAX_DESCRIPTION = 80  # characters: a prompt is short
_STRING = SlotRecipe("string", "text", VALUE_LENGTH, steps=4, commit="threshold", commit_bound=0.5, guidance_scale=1.0)
_CHOICE = SlotRecipe("choice", "text", length=1, steps=1, guidance_scale=1.0)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
MIN_WORD = 3  # letters of a word that says what is meant
SAME_LETTERS = 4  # at the beginning of words that are taken for one: light, lights
_FILLERS = (
    "the and for with from that this into onto are was what which how who you your can could would please its has have "
    "not all any get set use tool tools function value name string number true false given"
)
SAYS_NOTHING = frozenset(_FILLERS.split())


@dataclass(frozen=True)
class Offer:
    """tools: that may be called now. forced: whether one of them is, whatever was said."""

    tools: tuple[FunctionTool, ...]
    forced: bool

    @classmethod
    def of(cls, settings: SessionSettings, items: Sequence[Item]) -> "Offer":
        """What a response with these settings may call; a tool's output is answered, unless a call is forced."""
        tools = () if settings.tools is UNSET else tuple(settings.tools)
        choice = settings.tool_choice
        if isinstance(choice, ToolChoiceFunction):
            return cls(tuple(tool for tool in tools if tool.name == choice.name), forced=True)
        if choice == "required":
            return cls(tools, forced=True)
        answers_a_tool = bool(items) and isinstance(items[-1], FunctionCallOutput)
        return cls(() if choice == "none" or answers_a_tool else tools, forced=False)


def with_tools(turns: Sequence[Turn], tools: Iterable[FunctionTool]) -> tuple[Turn, ...]:
    """The conversation with a system turn that names the tools, behind one that is there."""
    told = TextPart("\n".join(["tools:", *map(described, tools)]))
    if turns and turns[0].role == "system":
        return (replace(turns[0], parts=(*turns[0].parts, told)), *turns[1:])
    return (Turn("system", (told,)), *turns)


def described(tool: FunctionTool) -> str:
    """As in "set_light(room, on): Turn a light on or off"."""
    names = ", ".join((tool.parameters or {}).get("properties", {}))
    lines = (tool.description or "").strip().splitlines()
    return f"{tool.name}({names})" + (f": {lines[0][:MAX_DESCRIPTION]}" if lines else "")


def related(tools: Sequence[FunctionTool], words: str) -> list[FunctionTool]:
    """The tools that a turn may be about: those that share a word with it, the ones that share most.

    A model that was not taught when to call a tool cannot be asked; a word in common is asked for instead.
    """
    said = set(_words(words))
    shared = [sum(_among(word, said) for word in set(_words_of(tool))) for tool in tools]
    most = max(shared, default=0)
    return [tool for tool, count in zip(tools, shared, strict=True) if most and count == most]


def _words_of(tool: FunctionTool) -> list[str]:
    properties = (tool.parameters or {}).get("properties", {})
    schemas = [schema for schema in properties.values() if isinstance(schema, dict)]
    values = [str(value) for schema in schemas for value in schema.get("enum", ())]
    return _words(" ".join([tool.name, tool.description or "", *properties, *values]))


def _words(text: str) -> list[str]:
    """Words that say what is meant, in small letters; names are taken apart."""
    found = (word.lower() for word in _WORD.findall(text))
    return [word for word in found if len(word) >= MIN_WORD and word not in SAYS_NOTHING]


def _among(word: str, said: Iterable[str]) -> bool:
    return any(word == other or (min(len(word), len(other)) >= SAME_LETTERS and _begins(word, other)) for other in said)


def _begins(word: str, other: str) -> bool:
    return word.startswith(other) or other.startswith(word)


def choice_recipe(tools: Sequence[FunctionTool]) -> Recipe:
    """Asks which of the tools is called."""
    names = tuple(tool.name for tool in tools)
    slot = replace(_CHOICE, name=TOOL, lead=BEFORE_NAME, choices=names)
    return Recipe("tool_choice", (slot,), tail=BEHIND_NAME + "{")


def call_recipe(tool: FunctionTool, skeleton: Skeleton) -> Recipe:
    """Asks for the values in the skeleton of the tool's arguments; no slots if there are none."""
    lead, slots = f"{BEFORE_NAME}{tool.name}{BEHIND_NAME}", []
    for piece in skeleton.pieces:
        if isinstance(piece, str):
            lead += piece
            continue
        kind = replace(_CHOICE, choices=piece.choices) if piece.choices else _STRING
        slots.append(replace(kind, name=ARGUMENTS + piece.name, lead=lead))
        lead = ""
    return Recipe("tool_call", tuple(slots), tail=lead + "}")
