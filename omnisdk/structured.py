"""A type as the form of an answer: its JSON Schema is filled in like a tool's arguments, and read as the type."""

from __future__ import annotations

import inspect
import re
from typing import Any, Generic, TypeVar

from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from omnisdk.errors import OmniError, SettingsError
from omnisdk.schema import fillable

T = TypeVar("T")
Form = TypeVar("Form", covariant=True)
VALUE = "answer"  # the name of a value that is no object
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


class OutputError(OmniError):
    """The answer fits the schema and is still refused by a validator of the type."""


class OutputType(Generic[Form]):
    """A pydantic model, a dataclass, or any other type pydantic knows, as the form of an answer.

    name, description, schema: as of a tool. Fields with a default keep it, as those of tools do.
    Raises SettingsError for what is no such type, SchemaError for one that the model cannot fill in.
    """

    def __init__(self, kind: type[Form]) -> None:
        try:
            self._adapter: TypeAdapter[Form] = TypeAdapter(kind)
            schema = self._adapter.json_schema()
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            told = str(error).splitlines()[0]
            raise SettingsError(
                f"setting 'output' got {kind!r}: it is neither a list of what the answer holds "
                f'("text", "image", "speech") nor a type that can be filled in ({told})'
            ) from None
        if not schema:
            raise SettingsError(
                f"setting 'output' got {kind!r}, which may be anything; give a type that says what it is"
            )
        self._wrapped = schema.get("type") != "object"
        self.name: str = _NO_NAME.sub("_", getattr(kind, "__name__", str(kind)))[:128]
        self.schema: dict[str, object] = fillable(_within(schema) if self._wrapped else schema, f"output {self.name}")
        self.description: str = _told(kind)

    def __repr__(self) -> str:
        return f"OutputType({self.name})"

    def read(self, arguments: str) -> Form:
        """What the filled form says. Raises OutputError."""
        try:
            if self._wrapped:
                return _value(self._adapter, arguments)
            return self._adapter.validate_json(arguments)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or self.name}: {e['msg']}" for e in error.errors())
            raise OutputError(f"the answer {arguments} is no {self.name}: {problems}") from None


def _value(adapter: TypeAdapter[T], arguments: str) -> T:
    given: dict[str, Any] = TypeAdapter(dict[str, Any]).validate_json(arguments)
    return adapter.validate_python(given.get(VALUE), strict=False)


def _within(schema: dict[str, Any]) -> dict[str, Any]:
    """An object with the value in it; what it refers to stays at the root."""
    value = {name: told for name, told in schema.items() if name != "$defs"}
    definitions = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return {"type": "object", "properties": {VALUE: value}, "required": [VALUE], **definitions}


def _told(kind: object) -> str:
    """The type's own docstring, not one it inherits from the library."""
    docstring = vars(kind).get("__doc__") if isinstance(kind, type) else None
    return inspect.cleandoc(docstring).splitlines()[0] if docstring else ""
