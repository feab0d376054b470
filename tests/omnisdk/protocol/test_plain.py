from datetime import UTC, datetime
from math import inf, nan
from typing import Any

import msgspec
import pytest

from omnisdk.protocol.limits import MAX_DEPTH
from omnisdk.protocol.plain import unfit


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [None, True, "a", b"a", -(2**63), 2**64 - 1, 0.5, {"a": [1, {"b": b"\x00"}]}, nested(MAX_DEPTH)],
)
def test_what_both_forms_can_say(value: object) -> None:
    assert unfit({"x": [value]} if not isinstance(value, list) else value) is None


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (nan, "nan came; send a finite number"),
        (-inf, "-inf came"),
        (2**64, "an integer of 65 bits came; at most 64"),
        (-(2**63) - 1, "64 bits"),
        (msgspec.msgpack.Ext(5, b""), "a Ext came; send what JSON can say"),
        (datetime.now(UTC), "a datetime came"),
        ({1: 2}, "a key of type int came"),
        (nested(MAX_DEPTH), "more than 64 objects and lists"),
    ],
)
def test_what_one_of_them_cannot(value: object, told: str) -> None:
    found = unfit({"a": "fine", "b": [0, {"c": value}]})
    assert found is not None
    path, problem = found
    assert path.startswith("b[1].c")
    assert told in problem
