"""What a type of the wire allows: which fields, which values. Reads the structs themselves, so it cannot drift."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from msgspec import inspect

_STEP = re.compile(r"\[(?:\d+|\.\.\.)\]|[^.\[\]]+")


def unknown_field(message: Any, event_type: type) -> str | None:
    """The path of the first field of `message` that its type does not have, as in `item.content[0].colour`."""
    return _unknown(message, _shape(event_type), "")


def allowed_at(event_type: type, path: str) -> list[str]:
    """What may stand at `path`, where it can be told: literals, tags and ranges. Else empty."""
    shapes: Sequence[inspect.Type] = (_shape(event_type),)
    for step in _STEP.findall(path):
        below = [_below(shape, step) for shape in shapes]
        shapes = [option for shape in below if shape is not None for option in _options(shape)]
    values = [repr(value) for shape in shapes if isinstance(shape, inspect.LiteralType) for value in shape.values]
    numbers = [shape for shape in shapes if isinstance(shape, inspect.IntType | inspect.FloatType)]
    told = values + [text for shape in numbers if (text := _range(shape))]
    return list(dict.fromkeys(told))  # several types may allow the same


def value_at(message: Any, path: str) -> Any:
    """What stands at `path` in `message`; None if nothing does."""
    for step in _STEP.findall(path):
        if isinstance(message, dict):
            message = message.get(step)
        elif isinstance(message, list) and step.strip("[]").isdigit() and int(step[1:-1]) < len(message):
            message = message[int(step[1:-1])]
        else:
            return None
    return message


@cache
def _shape(event_type: type) -> inspect.Type:
    return inspect.type_info(event_type)


def _unknown(value: Any, wanted: inspect.Type, path: str) -> str | None:
    if isinstance(value, list):
        element = next((option.item_type for option in _options(wanted) if isinstance(option, inspect.ListType)), None)
        if element is None:
            return None
        return _first(_unknown(item, element, f"{path}[{index}]") for index, item in enumerate(value))
    free = next((option for option in _options(wanted) if isinstance(option, inspect.DictType)), None)
    if isinstance(value, dict) and free is not None:
        return _first(_unknown(item, free.value_type, f"{path}.{key}") for key, item in value.items())
    shape = _struct_of(value, wanted) if isinstance(value, dict) else None
    if shape is None:
        return None  # a plain value, a free object, or a type that decoding refuses
    fields = {field.encode_name: field.type for field in shape.fields}
    prefix = f"{path}." if path else ""
    unknown = next((name for name in value if name not in fields and name != shape.tag_field), None)
    if unknown is not None:
        return f"{prefix}{unknown}"
    return _first(_unknown(value[name], kind, f"{prefix}{name}") for name, kind in fields.items() if name in value)


def _struct_of(value: dict[str, Any], wanted: inspect.Type) -> inspect.StructType | None:
    """The struct an object is meant to be: the one with its tag, or the only one if it gives none."""
    structs = [option for option in _options(wanted) if isinstance(option, inspect.StructType)]
    if len(structs) == 1 and structs[0].tag_field not in value:
        return structs[0]
    return next((shape for shape in structs if value.get(str(shape.tag_field)) == shape.tag), None)


def _below(shape: inspect.Type, step: str) -> inspect.Type | None:
    if isinstance(shape, inspect.ListType) and step.startswith("["):
        return shape.item_type
    if isinstance(shape, inspect.DictType):
        return shape.value_type
    if isinstance(shape, inspect.StructType):
        if step == shape.tag_field:
            return inspect.LiteralType((shape.tag,))
        return next((field.type for field in shape.fields if field.encode_name == step), None)
    return None


def _range(shape: inspect.IntType | inspect.FloatType) -> str:
    """As "1 to 1024", "1 or more" or "more than 0, up to 1"; empty if anything goes."""
    most = "" if shape.le is None else _number(shape.le)
    if shape.gt is not None:
        return f"more than {_number(shape.gt)}" + (f", up to {most}" if most else "")
    if shape.ge is not None:
        return f"{_number(shape.ge)} to {most}" if most else f"{_number(shape.ge)} or more"
    return f"at most {most}" if most else ""


def _number(value: int | float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _options(wanted: inspect.Type) -> Iterable[inspect.Type]:
    return wanted.types if isinstance(wanted, inspect.UnionType) else (wanted,)


def _first(paths: Iterable[str | None]) -> str | None:
    return next((path for path in paths if path), None)
