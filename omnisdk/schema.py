"""Whether the model can fill in what a type asks for: told where a tool or an answer's type is declared."""

from __future__ import annotations

from typing import Any

from omnisdk.errors import SchemaError
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.skeleton import skeleton_of


def fillable(schema: dict[str, Any], whose: str) -> dict[str, Any]:
    """The schema of an object. Raises SchemaError for one that cannot be filled in."""
    try:
        skeleton_of(schema, "", "parameters")
    except ProtocolError as error:
        raise SchemaError(f"{whose}: {error.message}") from None
    return schema
