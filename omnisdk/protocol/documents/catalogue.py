"""Every event and object of the wire with what its docstring says of it and of its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args

from msgspec import inspect

from omnisdk.protocol.events import ClientEvent, KnownServerEvent

EXTENSION_PREFIX = "omni."
# Of the extension although they begin otherwise: what keeps a session over its sockets, named as others name it.
EXTENSION_NAMES = frozenset(
    {
        "session.resume",
        "session.resumed",
        "session.event_ack",
        "session.heartbeat",
        "session.heartbeat_ack",
        "session.resync_required",
        "session.replaced",
        "session.close",
        "session.closed",
        "playback.ack",
    }
)


@dataclass(frozen=True)
class Described:
    """A struct. says: its docstring without what it says of fields, which is in `fields_say` by name."""

    kind: inspect.StructType
    says: str
    fields_say: dict[str, str]

    @property
    def name(self) -> str:
        return self.kind.cls.__name__


@dataclass(frozen=True)
class Event:
    """sender: who sends it. extension: only clients that opted in send or get it."""

    described: Described
    sender: Literal["client", "server"]

    @property
    def name(self) -> str:
        return str(self.described.kind.tag)

    @property
    def extension(self) -> bool:
        return self.name.startswith(EXTENSION_PREFIX) or self.name in EXTENSION_NAMES


def events() -> list[Event]:
    """In the order of the unions: the client's, then the server's."""
    return [Event(described(kind), "client") for kind in get_args(ClientEvent)] + [
        Event(described(kind), "server") for kind in get_args(KnownServerEvent)
    ]


def objects() -> list[Described]:
    """What events are made of, by name."""
    found: dict[str, Described] = {}
    for event in events():
        for shape in _inside(event.described.kind):
            found.setdefault(shape.cls.__name__, described(shape.cls))
    return [found[name] for name in sorted(found)]


@cache
def described(kind: type) -> Described:
    shape = inspect.type_info(kind)
    assert isinstance(shape, inspect.StructType)
    names = "|".join(field.encode_name for field in shape.fields)
    text = re.sub(r"\bNone\b", "null", " ".join((kind.__doc__ or "").split()))
    says, *pieces = re.split(rf"(?:^|(?<=[.;] ))((?:{names})(?:, (?:{names}))*): ", text)
    fields_say: dict[str, str] = {}
    for told, words in zip(pieces[::2], pieces[1::2], strict=True):
        sentence = words.strip().rstrip(";")
        fields_say |= dict.fromkeys(told.split(", "), sentence if sentence.endswith(".") else f"{sentence}.")
    return Described(shape, says.strip(), fields_say)


def _inside(wanted: inspect.Type) -> Iterator[inspect.StructType]:
    """The structs below a type, each before those inside of it."""
    for below in _below(wanted):
        if isinstance(below, inspect.StructType):
            yield below
        yield from _inside(below)


def _below(wanted: Any) -> tuple[inspect.Type, ...]:
    match wanted:
        case inspect.StructType():
            return tuple(field.type for field in wanted.fields)
        case inspect.UnionType():
            return wanted.types
        case inspect.ListType():
            return (wanted.item_type,)
        case inspect.TupleType():
            return wanted.item_types
        case inspect.DictType():
            return (wanted.value_type,)
    return ()
