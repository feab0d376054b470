import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field

from omnisdk.errors import OmniError, SchemaError
from omnisdk.media import Image
from omnisdk.structured import OutputType
from omnisdk.tools import FunctionTool, Tool, ToolContext, ToolError, tool

CONTEXT = ToolContext("call_1", "f", deps=7)


class Room(StrEnum):
    KITCHEN = "kitchen"
    HALL = "hall"


class Place(BaseModel):
    x: int
    y: int


@tool
def set_light(room: Room, on: bool, level: int = 5) -> str:
    """Turn a light
    on or off.

    Args:
        room: the room it is in
        on (bool): whether it shines
    Returns:
        what it says
    """
    return f"{room.value} {on} {level}"


def run(tool: Tool, arguments: str = "{}") -> Any:
    return asyncio.run(tool.run(arguments, CONTEXT))


class TestWhatIsTold:
    def test_the_function_says_it_all(self) -> None:
        assert (set_light.name, set_light.description) == ("set_light", "Turn a light on or off.")
        schema = set_light.schema
        assert schema["required"] == ["room", "on"]
        assert schema["properties"]["on"] == {"description": "whether it shines", "title": "On", "type": "boolean"}
        assert schema["properties"]["room"]["description"] == "the room it is in"
        assert schema["$defs"]["Room"]["enum"] == ["kitchen", "hall"]

    def test_it_may_be_said_otherwise(self) -> None:
        @tool(name="add", description="Add numbers.", timeout=2, needs_approval=True)
        def f(a: float, b: float) -> float:
            return a + b

        assert (f.name, f.description, f.timeout, f.needs_approval) == ("add", "Add numbers.", 2, True)
        assert f(1, 2) == 3  # it is still the function

    def test_the_context_is_not_the_models(self) -> None:
        @tool
        def f(ctx: ToolContext, a: int) -> str:
            return f"{ctx.call_id} {ctx.deps} {a}"

        assert list(f.schema["properties"]) == ["a"]
        assert run(f, '{"a": 3}') == "call_1 7 3"

    @pytest.mark.parametrize("function", [lambda *a: "", lambda **a: ""])
    def test_parameters_without_names(self, function: Callable[..., str]) -> None:
        with pytest.raises(OmniError, match="cannot be named by a model"):
            tool(function)


class TestRunning:
    def test_arguments_get_their_types(self) -> None:
        assert run(set_light, '{"room": "hall", "on": true}') == "hall True 5"

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ('{"room": "moon", "on": true}', "room: Input should be 'kitchen' or 'hall'"),
            ('{"room": "hall"}', "on: Field required"),
            ('{"room": "hall", "on": true, "x": 1}', "x: Extra inputs"),
            ("[", "Invalid JSON"),
        ],
    )
    def test_arguments_that_do_not_fit(self, arguments: str, told: str) -> None:
        with pytest.raises(ToolError, match=f"set_light cannot be called like that: .*{told}"):
            run(set_light, arguments)

    def test_async_functions(self) -> None:
        @tool
        async def f(kind: Literal["a", "b"]) -> str:
            await asyncio.sleep(0)
            return kind

        assert run(f, '{"kind": "b"}') == "b"

    def test_a_plain_function_does_not_hold_up_the_loop(self) -> None:
        @tool
        def slow() -> str:
            time.sleep(0.05)
            return "done"

        async def both() -> int:
            running, ticks = asyncio.ensure_future(slow.run("{}", CONTEXT)), 0
            while not running.done():
                await asyncio.sleep(0.001)
                ticks += 1
            return ticks

        assert asyncio.run(both()) > 3

    def test_too_long(self) -> None:
        @tool(timeout=0.01)
        async def f() -> None:
            await asyncio.sleep(60)

        with pytest.raises(ToolError, match=r"longer than 0\.01 s"):
            run(f)

    def test_what_it_raises_is_told(self) -> None:
        @tool
        def f() -> None:
            raise ValueError("no such lamp")

        with pytest.raises(ToolError, match="f failed: no such lamp"):
            run(f)

    @pytest.mark.parametrize(
        ("result", "told"),
        [(None, ""), ("x", "x"), (3, "3"), (Place(x=1, y=2), '{"x":1,"y":2}'), ([1, "a"], '[1,"a"]')],
    )
    def test_results_are_words(self, result: Any, told: str) -> None:
        assert run(FunctionTool(lambda: result, name="f")) == told

    def test_pictures_stay_pictures(self) -> None:
        picture = Image(np.zeros((2, 2, 3), np.uint8))
        assert run(FunctionTool(lambda: picture, name="f")) is picture


class Deep(BaseModel):
    inner: "Deep"


class TestSchemasNoModelCanFill:
    @pytest.mark.parametrize(
        ("kind", "told"),
        [
            (timedelta, r"tool f: parameters\.properties\.x: format 'duration' cannot be filled in, .* use a string"),
            (
                Annotated[str, Field(pattern="a+")],
                r"a string with pattern 'a\+' cannot be filled in, .* an enum of all",
            ),
            (Deep, "nested more than 5 deep; flatten them"),
            (Annotated[int, Field(gt=3, lt=4)], "no number fits; widen its bounds"),
            (np.ndarray, "Unable to generate pydantic-core schema for .* Use str, int"),
            (Callable[[], int], "Cannot generate a JsonSchema for .* Use str, int"),
        ],
    )
    def test_are_refused_where_the_tool_is_declared(self, kind: Any, told: str) -> None:
        def f(x: Any) -> None: ...

        f.__annotations__["x"] = kind
        with pytest.raises(SchemaError, match=told):
            tool(f)

    def test_of_an_answer(self) -> None:
        with pytest.raises(SchemaError, match=r"output Deep: .*nested more than 5 deep"):
            OutputType(Deep)

    def test_what_has_a_default_need_not_be_filled(self) -> None:
        @tool
        def f(name: str, when: datetime | None = None) -> str:
            return f"{name} {when}"

        assert run(f, '{"name": "tea"}') == "tea None"


@pytest.mark.anyio
async def test_rubbish_is_told_in_a_sentence() -> None:
    @tool
    def rubbish() -> object:
        """Give rubbish."""
        return object()

    with pytest.raises(ToolError, match="rubbish failed: its result, of type object, cannot be told; give text"):
        await rubbish.run("{}", CONTEXT)
