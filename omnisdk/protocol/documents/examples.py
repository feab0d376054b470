"""An example of each event, filled in by the names and types of its fields."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import inspect

from omnisdk.protocol.events import ClientEvent, KnownServerEvent
from omnisdk.protocol.picture import Picture
from omnisdk.protocol.wire import from_wire

SOUND = b"\x00\x00\x01\x80"
PICTURE = Picture(b"\x89PNG\r\n\x1a\n")


def full_example(kind: type) -> ClientEvent | KnownServerEvent:
    """With every field; a list holds one of each kind it may hold."""
    return _event(kind, full=True)


def bare_example(kind: type) -> ClientEvent | KnownServerEvent:
    """With those fields alone that must be there."""
    return _event(kind, full=False)


def _event(kind: type, full: bool) -> ClientEvent | KnownServerEvent:
    event: ClientEvent | KnownServerEvent = msgspec.convert(
        _value(inspect.type_info(kind), "", full), kind, dec_hook=from_wire
    )
    return event


def _value(wanted: inspect.Type, name: str, full: bool) -> Any:
    match wanted:
        case inspect.StructType():
            tag = {} if wanted.tag_field is None else {wanted.tag_field: wanted.tag}
            fields = [field for field in wanted.fields if full or field.required]
            return tag | {field.encode_name: _value(field.type, field.encode_name, full) for field in fields}
        case inspect.UnionType():
            return _value(_kinds(wanted)[0], name, full)
        case inspect.ListType():
            return [_value(kind, name, full) for kind in _kinds(wanted.item_type)]
        case inspect.TupleType():
            return tuple(_value(kind, name, full) for kind in wanted.item_types)
        case inspect.DictType():
            return {"key": _value(wanted.value_type, "value", full)}
        case inspect.LiteralType():
            return wanted.values[0]
        case inspect.CustomType():
            return PICTURE
    return _plain(wanted, name)


def _plain(wanted: inspect.Type, name: str) -> Any:
    match wanted:
        case inspect.StrType() if name.endswith("_id"):
            return f"{name.removesuffix('_id')}_1"
        case inspect.StrType() | inspect.AnyType():
            return name
        case inspect.BytesType():
            return SOUND
        case inspect.BoolType():
            return True
        case inspect.IntType():
            return 1 if wanted.ge is None else max(1, wanted.ge)
        case inspect.FloatType():
            return 0.5 if wanted.ge is None else max(0.5, float(wanted.ge))
    raise NotImplementedError(f"{name}: {wanted}; say here what an example of it is")


def _kinds(wanted: inspect.Type) -> Sequence[inspect.Type]:
    """What a value may be, None only if nothing else."""
    kinds = wanted.types if isinstance(wanted, inspect.UnionType) else (wanted,)
    return [kind for kind in kinds if not isinstance(kind, inspect.NoneType)] or kinds
