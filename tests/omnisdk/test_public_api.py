"""The surface of the SDK: one import for each thing, no `Any` in it, and a docstring for all that can be called."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import griffe
import pytest

import omnisdk

ROOT = Path(__file__).parents[2]


@cache
def surface() -> griffe.Module:
    loaded = griffe.load("omnisdk", search_paths=[ROOT])
    assert isinstance(loaded, griffe.Module)
    return loaded


def public(name: str) -> griffe.Object:
    found = surface()[name]
    target = found.final_target if isinstance(found, griffe.Alias) else found
    assert isinstance(target, griffe.Object)
    return target


def members(name: str) -> Iterator[tuple[str, griffe.Object]]:
    """The thing itself, and of a class what has a public name."""
    thing = public(name)
    yield name, thing
    if isinstance(thing, griffe.Class):
        for member, told in thing.members.items():
            if isinstance(told, griffe.Object) and (not member.startswith("_") or member in ("__init__", "__call__")):
                yield f"{name}.{member}", told


def annotations(told: griffe.Object) -> Iterator[tuple[str, object]]:
    """Of a function with overloads those of them: the one behind them is nobody's business."""
    if isinstance(told, griffe.Attribute):
        yield told.name, told.annotation
    if isinstance(told, griffe.Function):
        for function in told.overloads or [told]:
            yield from ((parameter.name, parameter.annotation) for parameter in function.parameters)
            yield "return", function.returns


def says_any(annotation: object) -> bool:
    parts = annotation.iterate() if isinstance(annotation, griffe.Expr) else [annotation]
    return any(getattr(part, "name", part) == "Any" for part in parts)


@pytest.mark.parametrize("name", omnisdk.__all__)
def test_no_any_at_the_surface(name: str) -> None:
    found = [
        f"{place}({what}: {annotation})"
        for place, told in members(name)
        for what, annotation in annotations(told)
        if says_any(annotation)
    ]
    assert found == []


@pytest.mark.parametrize("name", omnisdk.__all__)
def test_everything_is_annotated(name: str) -> None:
    missing = [
        f"{place}({what})"
        for place, told in members(name)
        if isinstance(told, griffe.Function)
        for what, annotation in annotations(told)
        if annotation is None and what not in ("self", "cls")
    ]
    assert missing == []


@pytest.mark.parametrize("name", omnisdk.__all__)
def test_everything_has_a_docstring(name: str) -> None:
    silent = [
        place
        for place, told in members(name)
        if isinstance(told, griffe.Function | griffe.Class)
        and not told.has_docstring
        and not place.endswith(("__init__", "__call__"))  # the class tells
    ]
    assert silent == []


def test_each_thing_has_one_obvious_import() -> None:
    """What is public is not public again under another name, and stands where it is made."""
    homes = [public(name).path for name in omnisdk.__all__]
    assert len(set(homes)) == len(homes)
    assert all(home.startswith("omnisdk.") for home in homes)


OF_THE_ASYNC_CLIENT = {"wait", "is_local"}
OF_THE_ASYNC_SESSION = {  # what speaking, voice sessions and the sync client need of it
    *("post_audio", "say_again", "commit_speech", "expect_spoken", "clear_speech", "settled", "truncate", "interrupt"),
    *("room", "close", "wait_with", "max_speech_s"),
}


def names_of(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_whatever_is_async_has_a_sync_twin() -> None:
    assert names_of(omnisdk.AsyncClient) - OF_THE_ASYNC_CLIENT <= names_of(omnisdk.Client)
    assert names_of(omnisdk.AsyncSession) - OF_THE_ASYNC_SESSION <= names_of(omnisdk.Session)
    for kind in (omnisdk.Agent, omnisdk.Workflow):
        assert {f"{name}_sync" for name in ("run", "stream", "live") if hasattr(kind, name)} <= names_of(kind)
    for kind in (omnisdk.Response, omnisdk.Change, omnisdk.Live):
        assert hasattr(kind, "wait"), kind
