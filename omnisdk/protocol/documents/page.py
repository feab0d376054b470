"""The protocol as a page for people, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import NODEFAULT, inspect

from omnisdk.protocol.documents.catalogue import Described, Event, events, objects

HEAD = """# Events

Every event of the wire and every object in them, made from the structs in `omnisdk/protocol` by `make protocol`. How
they follow each other is told in the [protocol's README](../../omnisdk/protocol/README.md). A client's event with a
field that does not stand here is refused; a client passes over events and fields that it does not know. Media are
base64 or a data URL in JSON and raw bytes in MessagePack. Beside this page: [JSON Schemas](schemas.json), an
[AsyncAPI document](asyncapi.json), which a server tells at `/asyncapi.json`; an example of every event, byte by byte,
stands in [tests/golden/wire](../../tests/golden/wire).
"""
SECTIONS = (
    ("A client sends", "client", False),
    ("A client with the extension sends", "client", True),
    ("The server sends", "server", False),
    ("The server sends to clients with the extension", "server", True),
)


def page() -> str:
    told = [HEAD]
    for title, sender, extension in SECTIONS:
        chosen = [event for event in events() if (event.sender, event.extension) == (sender, extension)]
        told += [f"## {title}\n", *map(_event, chosen)]
    told += ["## Objects\n", *map(_object, objects())]
    return "\n".join(told)


def _event(event: Event) -> str:
    return f"### `{event.name}`\n\n{_body(event.described)}"


def _object(one: Described) -> str:
    tag = f'Its `{one.kind.tag_field}` is `"{one.kind.tag}"`. ' if one.kind.tag_field else ""
    return f"### {one.name}\n\n{tag}{_body(one)}"


def _body(one: Described) -> str:
    rows = [_row(field, one.fields_say.get(field.encode_name, "")) for field in one.kind.fields]
    table = "\n".join(["| field | what it is | |", "|---|---|---|", *rows, ""])
    return "\n\n".join(filter(None, (one.says, table if rows else "")))


def _row(field: inspect.Field, words: str) -> str:
    default = "" if field.default in (NODEFAULT, None, "") else f", else {_literal(field.default)}"
    name = f"`{field.encode_name}`" + ("" if field.required else "?")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in (name, _kind(field.type) + default, words)) + " |"


def _kind(wanted: inspect.Type) -> str:
    match wanted:
        case inspect.UnionType():
            return " or ".join(_kind(kind) for kind in wanted.types)
        case inspect.StructType():
            return f"[{wanted.cls.__name__}](#{wanted.cls.__name__.lower()})"
        case inspect.ListType():
            return f"list of {_kind(wanted.item_type)}"
        case inspect.TupleType():
            return f"list of {', '.join(map(_kind, wanted.item_types))}"
        case inspect.DictType():
            return f"object of {_kind(wanted.value_type)}"
        case inspect.LiteralType():
            return " or ".join(map(_literal, wanted.values))
        case inspect.IntType() | inspect.FloatType():
            return "".join(["integer" if isinstance(wanted, inspect.IntType) else "number", *_range(wanted)])
    return _NAMES[type(wanted)]


_NAMES: dict[type, str] = {
    inspect.AnyType: "anything",
    inspect.BoolType: "true or false",
    inspect.BytesType: "bytes",
    inspect.CustomType: "picture",
    inspect.NoneType: "null",
    inspect.StrType: "text",
}


def _range(wanted: inspect.IntType | inspect.FloatType) -> Iterable[str]:
    bounds = (("over", wanted.gt), ("from", wanted.ge), ("to", wanted.le), ("below", wanted.lt))
    return (
        f" {word} {bound:g}" if bound < 10**6 else f" {word} {bound}" for word, bound in bounds if bound is not None
    )


def _literal(value: object) -> str:
    return f"`{str(value).lower() if isinstance(value, bool) else value!r}`".replace("'", '"')
