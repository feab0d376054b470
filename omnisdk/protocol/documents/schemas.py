"""JSON Schemas (draft 7, which AsyncAPI reads too) of every event and object, as JSON has them."""

from __future__ import annotations

from typing import Any

import msgspec

from omnisdk.protocol.documents.catalogue import Described, events, objects
from omnisdk.protocol.limits import IMAGE_MIMES
from omnisdk.protocol.picture import Picture

DRAFT = "http://json-schema.org/draft-07/schema#"
BASE64 = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
Schema = dict[str, Any]


def schema_document() -> Schema:
    """Under `definitions`: each event and object by its class name, and ClientEvent and ServerEvent, any of them."""
    of_sender: dict[str, list[Schema]] = {"client": [], "server": []}
    for event in events():
        of_sender[event.sender].append({"$ref": f"#/definitions/{event.described.name}"})
    unions = {f"{sender.title()}Event": {"oneOf": kinds} for sender, kinds in of_sender.items()}
    return {"$schema": DRAFT, "title": "omnisdk protocol", "definitions": unions | schemas("#/definitions/{name}")}


def schemas(reference: str) -> dict[str, Schema]:
    """By class name. reference: how one names another, as in "#/definitions/{name}"."""
    kinds = {one.name: one for one in [*(event.described for event in events()), *objects()]}
    _, found = msgspec.json.schema_components(
        [one.kind.cls for one in kinds.values()], schema_hook=_of_picture, ref_template=reference
    )
    return {name: _told(_in_draft_7(schema), kinds[name]) for name, schema in sorted(found.items())}


def _of_picture(kind: type) -> Schema:
    if kind is not Picture:
        raise NotImplementedError(kind)
    subtypes = "|".join(mime.removeprefix("image/") for mime in IMAGE_MIMES)
    return {"type": "string", "pattern": f"^data:image/({subtypes});base64,{BASE64}$"}


def _in_draft_7(schema: Any) -> Any:
    """Tuples in the older words; without the discriminators of OpenAPI, which the tags make needless."""
    if isinstance(schema, list):
        return [_in_draft_7(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _in_draft_7(part) for key, part in schema.items() if key not in ("discriminator", "prefixItems")}
    return plain | {"items": _in_draft_7(schema["prefixItems"])} if "prefixItems" in schema else plain


def _told(schema: Schema, one: Described) -> Schema:
    """With what the docstring says, each thing where it belongs."""
    schema.pop("description", None)
    for name, words in one.fields_say.items():
        _describe(schema["properties"], name, words)
    return {"title": schema["title"]} | ({"description": one.says} if one.says else {}) | schema


def _describe(properties: dict[str, Schema], name: str, words: str) -> None:
    said = properties[name]
    plain = {"allOf": [said]} if "$ref" in said else said  # beside a $ref nothing counts
    properties[name] = {"description": words} | plain
