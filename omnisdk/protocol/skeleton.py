"""A tool's arguments as JSON with holes: keys, brackets and quotes are given, only values are left to the model.

What is filled in is valid by construction: a hole takes one of a few values (booleans, enumerations, numbers, the parts
of a date, a time or a UUID) or the inside of a string.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import UNSET, UnsetType

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.formats import ANY_STRING, FORMATS, Place, shape_of
from omnisdk.protocol.settings import FunctionTool

MAX_DEPTH = 5
MAX_HOLES = 32
LARGEST = 1e15  # what a number of JSON holds exactly
MOST_COUNTED = 128  # an integer's range is offered whole if it is no longer
COUNTED = range(21)  # what is offered of a longer one, beside the numbers that were said
COUNTING = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
TENS = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100}
NUMBER_WORDS = {word: number for number, word in enumerate(COUNTING.split())} | TENS
DENIALS = frozenset(("not", "no", "without", "never", "t"))  # the last is what is left of "isn't"
LEAST_FLAG = 3  # letters of a boolean's name that is taken for itself: "on" is said of many things
_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Hole:
    """name: the path of the value, as in "room", "at.x" or "day.year". choices: JSON texts, or what a part of a string
    may be; none for the inside of a whole string.
    """

    name: str
    choices: tuple[str, ...] = ()
    max_length: int | None = None


@dataclass(frozen=True)
class Skeleton:
    """JSON text and holes in turn."""

    pieces: tuple[str | Hole, ...]

    @property
    def holes(self) -> tuple[Hole, ...]:
        return tuple(piece for piece in self.pieces if isinstance(piece, Hole))

    def filled(self, values: Mapping[str, str]) -> str:
        """The JSON with the holes' values in it, by name: a choice as it is, a string's inside as plain text.

        Raises ValueError for what is none of the choices.
        """
        return "".join(piece if isinstance(piece, str) else _inside(piece, values[piece.name]) for piece in self.pieces)


def _inside(hole: Hole, value: str) -> str:
    if hole.choices:
        if value not in hole.choices:  # only an edit can have put it there
            raise ValueError(f"{hole.name} is {value[:80]!r}; it must be one of {', '.join(hole.choices)}")
        return value
    return json.dumps(value[: hole.max_length], ensure_ascii=False)[1:-1]


def skeleton_of(schema: Mapping[str, Any] | None, words: str, param: str) -> Skeleton:
    """The skeleton of a JSON Schema of an object.

    words: what was said. Where something that a value may be was said, nothing else is offered. Raises ProtocolError,
    about `param`, for a schema that has no skeleton.
    """
    root = schema or {"type": "object", "properties": {}}
    if root.get("type", "object") != "object":
        raise _unfillable(f"type {root['type']!r} came; the parameters of a function are an object", param)
    pieces = _joined(_object(root, root, Said.of(words), (), param, 0))
    names = [piece.name for piece in pieces if isinstance(piece, Hole)]
    if len(set(names)) < len(names):
        raise _unfillable("two of its values have one path; leave dots out of the names of properties", param)
    if len(names) > MAX_HOLES:
        raise _unfillable(
            f"there are more than {MAX_HOLES} values to fill in; ask for fewer (a date is two of them, a UUID 16)",
            param,
        )
    return Skeleton(pieces)


def check_tools(tools: Sequence[FunctionTool] | UnsetType, path: str) -> None:
    """Whether all of them can be called. Raises ProtocolError."""
    for index, tool in enumerate(tools if tools is not UNSET else ()):
        skeleton_of(tool.parameters, "", f"{path}[{index}].parameters")


def numbers_in(words: str) -> tuple[str, ...]:
    """Numbers that are said, in digits or in words, as JSON, in order and each once."""
    found = [(match.start(), match.group()) for match in _NUMBER.finditer(words)]
    found += [
        (match.start(), str(NUMBER_WORDS[match.group().lower()]))
        for match in re.finditer(r"[a-z]+", words, re.IGNORECASE)
        if match.group().lower() in NUMBER_WORDS
    ]
    return tuple(dict.fromkeys(number for _, number in sorted(found)))


@dataclass(frozen=True)
class Said:
    """words: in small letters, between blanks. numbers: as JSON. told: as it was said, its numbers in digits."""

    words: str
    numbers: tuple[str, ...]
    told: str

    @classmethod
    def of(cls, words: str) -> "Said":
        return cls(_plain(words), numbers_in(words), re.sub(r"[A-Za-z]+", _in_digits, words))

    def names(self, value: Any) -> bool:
        """Whether a value of an enumeration was said."""
        return isinstance(value, str) and bool(_plain(value).strip()) and _plain(value) in self.words

    def flag(self, name: str) -> bool | None:
        """Whether it is so, of a boolean: its name was said, or denied; None where it was not said."""
        named = _plain(name)
        if len(named.strip()) < LEAST_FLAG or named not in self.words:
            return None
        before = self.words.partition(named)[0].split()
        return not before or before[-1] not in DENIALS


def _in_digits(word: re.Match[str]) -> str:
    number = NUMBER_WORDS.get(word.group().lower())
    return word.group() if number is None else str(number)


def _plain(words: str) -> str:
    return f" {' '.join(_WORD.findall(words.lower()))} "


Pieces = Iterator[str | Hole]
Path = tuple[str, ...]


def _object(
    schema: Mapping[str, Any], root: Mapping[str, Any], said: Said, path: Path, param: str, depth: int
) -> Pieces:
    """What is required; all there is where nothing is said about that."""
    properties = schema.get("properties", {})
    wanted = [name for name in properties if name in schema.get("required", properties)]
    yield "{"
    for index, name in enumerate(wanted):
        yield f"{', ' if index else ''}{json.dumps(name)}: "
        yield from _value(properties[name], root, said, (*path, name), f"{param}.properties.{name}", depth + 1)
    yield "}"


def _value(schema: Any, root: Mapping[str, Any], said: Said, path: Path, param: str, depth: int) -> Pieces:
    if depth > MAX_DEPTH:
        raise _unfillable(f"objects are nested more than {MAX_DEPTH} deep; flatten them", param)
    schema = _resolved(schema, root, param)
    name = ".".join(path)
    choices = _choices(schema, said, path[-1])
    kind = _kind(schema)
    if choices == ():
        raise _unfillable("no number fits; widen its bounds", param)
    if choices is not None:
        yield Hole(name, choices) if len(choices) > 1 else choices[0]
    elif kind == "object":
        yield from _object(schema, root, said, path, param, depth)
    elif kind == "array":
        yield from _array(schema, root, said, path, param, depth)
    elif kind == "string":
        yield '"'
        yield from _string(schema, said, name, param)
        yield '"'
    else:
        raise _unfillable(
            f"type {kind!r} cannot be filled in; use string, integer, number, boolean, enum, array or object", param
        )


def _array(
    schema: Mapping[str, Any], root: Mapping[str, Any], said: Said, path: Path, param: str, depth: int
) -> Pieces:
    """One element, or as many as it must have: those that are told one by one, then others."""
    told = schema.get("prefixItems", [])
    others = schema.get("items", {"type": "string"} if not told else False)
    least, most = schema.get("minItems", 0), schema.get("maxItems", math.inf)
    count = min(most, max(least, len(told) or 1))
    if count > len(told) and others is False:
        raise _unfillable(f"{count} elements are wanted and {len(told)} are told; say what the others are", param)
    if count > 1 and schema.get("uniqueItems"):
        raise _unfillable(f"{count} different elements cannot be filled in; ask for one, or let them be alike", param)
    yield "["
    for index in range(int(count)):
        element, of = (told[index], "prefixItems") if index < len(told) else (others, "items")
        yield ", " if index else ""
        yield from _value(element, root, said, (*path, str(index)), f"{param}.{of}", depth + 1)
    yield "]"


def _string(schema: Mapping[str, Any], said: Said, name: str, param: str) -> Pieces:
    """The inside of a string."""
    form = schema.get("format")
    bound = next((bound for bound in ("pattern", "minLength") if bound in schema), None)
    shape = shape_of(form, said.told) if isinstance(form, str) and bound is None else None
    if shape is not None:
        for part in shape:
            yield part if isinstance(part, str) else _place(part, name)
    elif bound is None and (form is None or form in ANY_STRING):
        yield Hole(name, max_length=schema.get("maxLength"))
    else:
        told = f"format {form!r}" if bound is None else f"a string with {bound} {schema[bound]!r}"
        raise _unfillable(
            f"{told} cannot be filled in, as nothing makes sure that it fits; use a string and check it where it is "
            f"used, an enum of all that is allowed, or one of the formats {', '.join(FORMATS)}",
            param,
        )


def _place(part: Place, name: str) -> str | Hole:
    return Hole(f"{name}.{part.name}", part.choices) if len(part.choices) > 1 else part.choices[0]


def _resolved(schema: Any, root: Mapping[str, Any], param: str) -> Mapping[str, Any]:
    """With references followed, and the first of several kinds that is not null."""
    for _ in range(MAX_DEPTH * 2):
        if not isinstance(schema, dict):
            raise _unfillable(f"a {type(schema).__name__} came; a schema is an object", param)
        kinds = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if "$ref" in schema:
            schema = _referred(str(schema["$ref"]), root, param)
        elif isinstance(kinds, list) and kinds:
            schema = next((kind for kind in kinds if kind != {"type": "null"}), kinds[0])
        else:
            return schema
    raise _unfillable("its references lead nowhere; write the schema out", param)


def _referred(reference: str, root: Mapping[str, Any], param: str) -> Any:
    found: Any = root
    for step in filter(None, reference.removeprefix("#").split("/")):
        found = found.get(step) if isinstance(found, dict) else None
    if found is None:
        raise _unfillable(f"the reference {reference[:80]!r} leads nowhere", param)
    return found


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    return str(kind) if kind is not None else "object" if "properties" in schema else "string"


def _choices(schema: Mapping[str, Any], said: Said, name: str) -> tuple[str, ...] | None:
    """All that a value of this name may be, as JSON; None if it cannot be counted."""
    if "const" in schema:
        return (_json(schema["const"]),)
    if schema.get("enum"):
        named = [value for value in schema["enum"] if said.names(value)]
        return tuple(dict.fromkeys(map(_json, named or schema["enum"])))
    kind = _kind(schema)
    if kind == "boolean":
        flag = said.flag(name)
        return ("true", "false") if flag is None else (_json(flag),)
    if kind == "null":
        return ("null",)
    return _numbers(schema, said, whole=kind == "integer") if kind in ("integer", "number") else None


def _numbers(schema: Mapping[str, Any], said: Said, whole: bool) -> tuple[str, ...]:
    """Those that were said if one of them fits, else all of a short range, or small ones and the bounds of a long one;
    none if nothing fits."""
    low = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf))
    high = schema.get("maximum", schema.get("exclusiveMaximum", math.inf))
    barred = {schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")}
    step = schema.get("multipleOf")

    def fitting(numbers: Iterable[float]) -> tuple[str, ...]:
        fit = (
            number
            for number in numbers
            if low <= number <= high
            and number not in barred
            and not (whole and number != int(number))
            and not (step and number % step)
        )
        return tuple(dict.fromkeys(_json(int(number) if number == int(number) else number) for number in fit))

    short = high - low < MOST_COUNTED
    counted = range(math.floor(low), math.floor(high) + 1) if short else COUNTED
    bounds = [bound for bound in (low, high) if abs(bound) < LARGEST]
    between = [(low + high) / 2] if short else []
    return fitting(map(json.loads, said.numbers)) or fitting([*counted, *bounds]) or fitting(between)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _joined(pieces: Pieces) -> tuple[str | Hole, ...]:
    """With neighbouring texts as one."""
    joined: list[str | Hole] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return tuple(joined)


def _unfillable(problem: str, param: str) -> ProtocolError:
    return ProtocolError(f"{param}: {problem}", code=errors.INVALID_VALUE, param=param)
