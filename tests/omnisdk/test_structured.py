from dataclasses import dataclass
from datetime import date, datetime, time
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict

from omnisdk.errors import SettingsError
from omnisdk.protocol.skeleton import Hole, skeleton_of
from omnisdk.structured import OutputError, OutputType


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Thing(BaseModel):
    """A thing
    to be had."""

    name: str
    color: Color
    parts: list["Thing"] = []


@dataclass
class Point:
    x: int
    y: int


class Named(TypedDict):
    name: str


class Visit(BaseModel):
    day: date
    at: time
    until: datetime | None
    of: UUID


def test_a_model_tells_itself() -> None:
    form = OutputType(Thing)
    assert (form.name, form.description, repr(form)) == ("Thing", "A thing", "OutputType(Thing)")
    assert OutputType(Point).description.startswith("Point(")


@pytest.mark.parametrize(
    ("kind", "arguments", "value"),
    [
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (Named, '{"name": "a"}', {"name": "a"}),
        (bool, '{"answer": true}', True),
        (Color, '{"answer": "red"}', Color.RED),
        (Literal["a", "b"], '{"answer": "b"}', "b"),
        (list[Color], '{"answer": ["blue"]}', [Color.BLUE]),
        (date, '{"answer": "2027-03-05"}', date(2027, 3, 5)),
    ],
)
def test_many_types_are_read(kind: Any, arguments: str, value: object) -> None:
    assert OutputType(kind).read(arguments) == value


@pytest.mark.parametrize(
    "kind",
    [
        Thing,
        Point,
        Named,
        bool,
        Color,
        Literal["a", "b"],
        list[Color],
        int,
        dict[str, Named],
        Visit,
        tuple[int, Color],
        set[int],
    ],
)
@given(data=st.data())
def test_what_the_server_fills_in_is_of_the_type(kind: Any, data: st.DataObject) -> None:
    form = OutputType(kind)
    skeleton = skeleton_of(form.schema, "", "p")
    filled = {
        hole.name: data.draw(st.sampled_from(hole.choices) if hole.choices else st.text())
        for hole in skeleton.pieces
        if isinstance(hole, Hole)
    }
    value = form.read(skeleton.filled(filled))
    assert TypeAdapter(kind).validate_python(value) == value


def test_names_fit_the_protocol() -> None:
    assert OutputType(list[int]).name == "list"
    assert OutputType(type("Größe", (BaseModel,), {})).name == "Gr_e"


@pytest.mark.parametrize("arguments", ["", "{}", "[]", '{"answer": "green"}', "{"])
def test_what_does_not_fit(arguments: str) -> None:
    with pytest.raises(OutputError, match="is no Color"):
        OutputType(Color).read(arguments)


@pytest.mark.parametrize("kind", [print, 3, {1, 2}, object])
def test_what_is_no_type(kind: Any) -> None:
    with pytest.raises(SettingsError, match="setting 'output' got"):
        OutputType(kind)
