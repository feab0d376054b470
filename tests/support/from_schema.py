"""JSON values that fit a JSON Schema, of those words that the protocol's schemas use."""

import base64
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


def from_schema(schema: dict[str, Any], definitions: dict[str, Any]) -> SearchStrategy[Any]:
    """Without fields that the schema does not name. Raises NotImplementedError for a word it does not know."""
    if "$ref" in schema:
        return st.deferred(lambda: from_schema(definitions[schema["$ref"].rpartition("/")[2]], definitions))
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return st.one_of([from_schema(one, definitions) for one in schema[word]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    match schema.get("type"):
        case None:
            return ANYTHING
        case "object":
            return _objects(schema, definitions)
        case "array":
            return _arrays(schema, definitions)
        case "string":
            return _strings(schema)
        case "integer":
            return st.integers(schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1))
        case "number":
            low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
            return st.floats(low, high, exclude_min="exclusiveMinimum" in schema, allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
    raise NotImplementedError(schema)


def _objects(schema: dict[str, Any], definitions: dict[str, Any]) -> SearchStrategy[Any]:
    if "properties" not in schema:
        values = schema.get("additionalProperties")
        inner = from_schema(values, definitions) if isinstance(values, dict) else ANYTHING
        return st.dictionaries(st.text(max_size=6), inner, max_size=3)
    fields = {name: from_schema(one, definitions) for name, one in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema["required"]}
    return st.fixed_dictionaries(required, optional=fields)


def _arrays(schema: dict[str, Any], definitions: dict[str, Any]) -> SearchStrategy[Any]:
    items = schema.get("items", {})
    if isinstance(items, list):
        return st.tuples(*(from_schema(one, definitions) for one in items)).map(list)
    return st.lists(from_schema(items, definitions), min_size=schema.get("minItems", 0), max_size=3)


def _strings(schema: dict[str, Any]) -> SearchStrategy[str]:
    if schema.get("contentEncoding") == "base64":
        return st.binary(max_size=9).map(lambda encoded: base64.b64encode(encoded).decode())
    if "pattern" in schema:
        return st.from_regex(schema["pattern"].removesuffix("$") + r"\Z")
    return st.text(min_size=schema.get("minLength", 0), max_size=12)
