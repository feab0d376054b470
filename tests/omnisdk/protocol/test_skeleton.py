import json
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import UNSET

from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.formats import FORMATS
from omnisdk.protocol.settings import FunctionTool
from omnisdk.protocol.skeleton import Hole, Skeleton, check_tools, numbers_in, skeleton_of

LIGHT = {
    "type": "object",
    "properties": {
        "room": {"type": "string", "enum": ["kitchen", "Hall"]},
        "on": {"type": "boolean"},
        "note": {"type": "string", "maxLength": 5},
    },
    "required": ["room", "on"],
}


def test_keys_and_brackets_are_given_and_values_are_holes() -> None:
    assert skeleton_of(LIGHT, "", "p").pieces == (
        '{"room": ',
        Hole("room", ('"kitchen"', '"Hall"')),
        ', "on": ',
        Hole("on", ("true", "false")),
        "}",
    )


def test_everything_is_wanted_where_nothing_is_said_of_it() -> None:
    everything = {key: value for key, value in LIGHT.items() if key != "required"}
    assert [hole.name for hole in skeleton_of(everything, "", "p").holes] == ["room", "on", "note"]


def test_strings_are_escaped_and_cut() -> None:
    skeleton = skeleton_of({"properties": {"a": {"type": "string", "maxLength": 5}}}, "", "p")
    assert json.loads(skeleton.filled({"a": 'x"\\\n\u0001 too long'})) == {"a": 'x"\\\n\u0001'}


def test_what_is_none_of_the_choices_is_an_error() -> None:
    with pytest.raises(ValueError, match="on is 'perhaps'; it must be one of true, false"):
        skeleton_of(LIGHT, "", "p").filled({"room": '"Hall"', "on": "perhaps"})


def test_no_parameters() -> None:
    assert skeleton_of(None, "", "p").filled({}) == "{}"


@pytest.mark.parametrize(
    ("schema", "words", "offered"),
    [
        ({"type": "integer", "minimum": 2, "maximum": 4}, "seven apples", ("2", "3", "4")),
        ({"type": "integer"}, "put 42 in", ("42",)),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 2.5}, "1.5 or zero", ("1.5",)),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, "", ("0.5",)),
        ({"type": "integer", "multipleOf": 10, "minimum": 10, "maximum": 40}, "", ("10", "20", "30", "40")),
        ({"enum": ["kitchen", "Living room"]}, "light in the living-room!", ('"Living room"',)),
        ({"enum": ["on", "off"]}, "one moment", ('"on"', '"off"')),
    ],
)
def test_what_was_said_comes_before_all_else(schema: dict[str, Any], words: str, offered: tuple[str, ...]) -> None:
    skeleton = skeleton_of({"properties": {"n": schema}}, words, "p")
    filled = [hole.choices for hole in skeleton.holes]
    assert filled == [offered] if len(offered) > 1 else json.loads(skeleton.filled({})) == {"n": json.loads(offered[0])}


def test_numbers_that_were_said() -> None:
    assert numbers_in("Three times 21.5, minus -4, then twenty and 3") == ("3", "21.5", "-4", "20")


def test_a_date_is_laid_out_digit_by_digit_and_what_was_said_stands() -> None:
    schema = {"properties": {"day": {"type": "string", "format": "date"}, "to": {"type": "string", "format": "path"}}}
    holes = skeleton_of(schema, "", "p").holes
    assert [hole.name for hole in holes] == ["day.year", "day.day", "to"]
    assert skeleton_of(schema, "in two days, on the 5th of March 2027", "p").pieces == (
        '{"day": "2027-03-05", "to": "',
        Hole("to"),
        '"}',
    )
    assert skeleton_of({"properties": {"at": {"type": "string", "format": "time"}}}, "at seven pm", "p").pieces == (
        '{"at": "19:00:00Z"}',
    )


@pytest.mark.parametrize(
    ("schema", "filled"),
    [
        ({"type": "array", "items": {"const": 1}}, [1]),
        ({"type": "array", "items": {"const": 1}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "items": {"const": 1}, "maxItems": 0}, []),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": "a"}], "minItems": 2, "maxItems": 2}, [1, "a"]),
        ({"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 2}, [1, 2]),
    ],
)
def test_lists_are_as_long_as_they_must_be(schema: dict[str, Any], filled: list[object]) -> None:
    whole = {"properties": {"a": schema}}
    assert json.loads(skeleton_of(whole, "", "p").filled({})) == {"a": filled}
    jsonschema.validate({"a": filled}, whole)


def test_references_and_kinds_are_followed() -> None:
    schema = {
        "$defs": {"At": {"type": "object", "properties": {"x": {"enum": [1, 2]}, "y": {"const": "top"}}}},
        "properties": {
            "at": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/At"}]},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}},
        },
    }
    skeleton = skeleton_of(schema, "", "p")
    assert [hole.name for hole in skeleton.holes] == ["at.x", "tags.0"]
    assert json.loads(skeleton.filled({"at.x": "2", "tags.0": '"b"'})) == {"at": {"x": 2, "y": "top"}, "tags": ["b"]}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "array"}, "the parameters of a function are an object"),
        (
            {"properties": {"to": {"type": "string", "format": "email"}}},
            r"to: format 'email' cannot .*use a string and",
        ),
        (
            {"properties": {"a": {"type": "string", "pattern": "x+"}}},
            r"a: a string with pattern 'x\+' cannot .*an enum",
        ),
        ({"properties": {"a": {"type": "string", "minLength": 2, "format": "date"}}}, "with minLength 2 cannot"),
        ({"properties": {f"u{at}": {"type": "string", "format": "uuid"} for at in range(3)}}, "a UUID 16"),
        ({"properties": {"a": {"$ref": "#/nowhere"}}}, "leads nowhere"),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, "references lead nowhere"),
        ({"properties": {"a": 3}}, "a int came"),
        ({"properties": {f"p{index}": {"type": "boolean"} for index in range(40)}}, "more than 32"),
        ({"properties": {"a.b": {"type": "string"}, "a": {"properties": {"b": {"type": "string"}}}}}, "one path"),
        ({"properties": {"a": {"type": "integer", "minimum": 3, "maximum": 2}}}, "no number fits"),
        ({"properties": {"a": {"type": "array", "minItems": 2, "uniqueItems": True}}}, "2 different elements"),
        ({"properties": {"a": {"type": "array", "prefixItems": [{}], "minItems": 2}}}, "2 elements are wanted and 1"),
        ({"properties": {"a": {"type": "file"}}}, "type 'file' cannot be filled in"),
    ],
)
def test_a_schema_that_cannot_be_filled(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(ProtocolError, match=told):
        check_tools([FunctionTool(name="f", parameters=schema)], "session.tools")
    check_tools(UNSET, "session.tools")


def test_a_schema_without_an_end() -> None:
    loop: dict[str, Any] = {"properties": {"a": {"$ref": "#"}}}
    with pytest.raises(ProtocolError, match="nested more than"):
        skeleton_of(loop, "", "p")


scalars = st.one_of(
    st.just({"type": "string"}),
    st.just({"type": "boolean"}),
    st.sampled_from(FORMATS).map(lambda form: {"type": "string", "format": form}),
    st.builds(lambda n: {"type": "string", "maxLength": n}, st.integers(0, 10)),
    st.builds(
        lambda low, size: {"type": "integer", "minimum": low, "maximum": low + size},
        st.integers(-9, 9),
        st.integers(0, 9),
    ),
    st.lists(st.text(max_size=5), min_size=1, max_size=4).map(lambda values: {"enum": values}),
)
names = st.text(min_size=1, max_size=6)


def objects(values: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(names, values, max_size=3).map(
        lambda properties: {"type": "object", "properties": properties, "required": list(properties)}
    )


schemas = st.recursive(
    scalars, lambda inner: objects(inner) | inner.map(lambda items: {"type": "array", "items": items}), max_leaves=6
)


@given(objects(schemas), st.text(), st.data())
def test_whatever_is_filled_in_is_valid(schema: dict[str, Any], words: str, data: st.DataObject) -> None:
    try:
        skeleton: Skeleton = skeleton_of(schema, words, "p")
    except ProtocolError:
        assume(False)  # nested too deep, or two values of one path
    values = {
        hole.name: data.draw(st.sampled_from(hole.choices) if hole.choices else st.text()) for hole in skeleton.holes
    }
    jsonschema.validate(json.loads(skeleton.filled(values)), schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


MUSIC = {"properties": {"loud": {"type": "boolean"}, "with_lights": {"type": "boolean"}, "on": {"type": "boolean"}}}


@pytest.mark.parametrize(
    ("words", "loud", "with_lights"),
    [
        ("play it loud, with lights", ("true",), ("true",)),
        ("not loud", ("false",), ("true", "false")),
        ("it isn't LOUD", ("false",), ("true", "false")),
        ("loudly, on and on", ("true", "false"), ("true", "false")),
    ],
)
def test_a_boolean_whose_name_is_said_or_denied(
    words: str, loud: tuple[str, ...], with_lights: tuple[str, ...]
) -> None:
    skeleton = skeleton_of(MUSIC, words, "p")
    offered = {hole.name: hole.choices for hole in skeleton.holes}
    filled = json.loads(skeleton.filled({hole.name: hole.choices[0] for hole in skeleton.holes}))
    for name, choices in (("loud", loud), ("with_lights", with_lights)):
        assert offered.get(name, choices) == choices
        assert (name in offered) == (len(choices) > 1)
        assert json.dumps(filled[name]) == choices[0]
    assert "on" in offered  # too short a name to be taken for what is meant
