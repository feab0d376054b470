"""Config files, JSON or YAML, into checked values. A refusal names the file, the field and what is allowed."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from runtime.models.weight_files import CheckpointError, one_line

T = TypeVar("T")

YAML = (".yaml", ".yml")


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of a JSON or YAML file, told apart by the name's end."""
    decode = msgspec.yaml.decode if path.suffix in YAML else msgspec.json.decode
    try:
        fields = decode(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({one_line(error)}). The model is incomplete.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as error:
        kind = "YAML" if path.suffix in YAML else "JSON"
        raise CheckpointError(f"{path}: no valid {kind} ({one_line(error)}). Restore or correct the file.") from error
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        raise CheckpointError(f"{path}: holds no named fields. Restore or correct the file.")
    return fields


def checked(raw: object, kind: type[T], where: str) -> T:
    """`raw` as the dataclass or struct `kind`. where: the file and field, as errors are to name them."""
    _refuse_unknown(raw, kind, where)
    try:
        return msgspec.convert(raw, kind, strict=False)  # YAML reads 1e-6 as text
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise CheckpointError(f"{where}: {one_line(error)}. Correct it, or restore the file.") from error


def overridden(config: T, overrides: Mapping[str, Any], where: str) -> T:
    """The dataclass `config` with some fields, also of those inside, replaced."""
    merged = _merged(dataclasses.asdict(config), overrides)  # type: ignore[call-overload]
    return checked(merged, type(config), where)


def _merged(fields: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    return {**fields} | {
        name: _merged(fields[name], value)
        if isinstance(value, Mapping) and isinstance(fields.get(name), dict)
        else value
        for name, value in overrides.items()
    }


def _refuse_unknown(raw: object, kind: Any, where: str) -> None:
    if isinstance(raw, str):
        _refuse_word(raw, kind, where)
    fields = _fields(kind)
    if not isinstance(raw, Mapping) or not fields:
        return
    unknown = ", ".join(str(name) for name in raw if name not in fields)
    if unknown:
        raise CheckpointError(f"{where}: unknown field {unknown}; allowed: {', '.join(fields)}.")
    for name, value in raw.items():
        _refuse_unknown(value, fields[name], f"{where}: {name}")


def _refuse_word(raw: str, kind: Any, where: str) -> None:
    """A word where only some are allowed; where any text may stand, nothing is refused."""
    options = _options(kind)
    words = [word for option in options if get_origin(option) is Literal for word in get_args(option)]
    if words and str not in options and raw not in words:
        raise CheckpointError(f"{where}: {raw!r} is not known; allowed: {', '.join(map(str, words))}.")


def _fields(kind: Any) -> dict[str, Any]:
    """Field -> type, of a dataclass or struct or the one that a union allows."""
    for option in _options(kind):
        if dataclasses.is_dataclass(option) or (isinstance(option, type) and issubclass(option, msgspec.Struct)):
            return get_type_hints(option)
    return {}


def _options(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
