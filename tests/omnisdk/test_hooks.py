from collections.abc import Awaitable, Callable

import pytest

from omnisdk.hooks import Moments, Stopped

pytestmark = pytest.mark.anyio


async def double(number: int) -> int:
    return 2 * number


async def test_nothing_added() -> None:
    assert await Moments[int, int]().run(3, double) == 6


async def test_everything_in_order() -> None:
    moments: Moments[int, int] = Moments()
    seen: list[str] = []

    @moments.before
    async def one_more(number: int) -> int:
        seen.append("before")
        return number + 1

    @moments.before
    def look(number: int) -> None:
        seen.append(f"before with {number}")

    @moments.around
    async def outer(number: int, go: Callable[[int], Awaitable[int]]) -> int:
        seen.append("outer")
        return await go(number) + 1

    @moments.around
    async def inner(number: int, go: Callable[[int], Awaitable[int]]) -> int:
        seen.append("inner")
        return await go(number * 10)

    @moments.after
    def negative(number: int, result: int) -> int:
        seen.append(f"after {number}")
        return -result

    assert await moments.run(1, double) == -41
    assert seen == ["before", "before with 2", "outer", "inner", "after 2"]


async def test_the_work_need_not_be_done() -> None:
    moments: Moments[int, int] = Moments()

    @moments.around
    async def cached(_number: int, _go: Callable[[int], Awaitable[int]]) -> int:
        return 5

    assert await moments.run(1, fails) == 5


async def fails(_number: int) -> int:
    raise ValueError("no")


async def test_an_error_gets_an_answer_or_goes_on() -> None:
    moments: Moments[int, int] = Moments()
    seen: list[Exception] = []
    moments.on_error(lambda _number, error: seen.append(error))
    with pytest.raises(ValueError, match="no"):
        await moments.run(1, fails)
    moments.on_error(lambda number, _error: number)
    assert await moments.run(1, fails) == 1
    assert len(seen) == 2


async def test_a_guardrail_is_no_error_of_the_work() -> None:
    moments: Moments[int, int] = Moments()
    moments.on_error(lambda number, _error: number)

    @moments.around
    async def never(_number: int, _go: Callable[[int], Awaitable[int]]) -> int:
        raise Stopped("not today")

    with pytest.raises(Stopped, match="not today"):
        await moments.run(1, double)


async def test_what_a_hook_raises_ends_the_work() -> None:
    moments: Moments[int, int] = Moments()

    @moments.before
    def wrong(_number: int) -> None:
        raise KeyError("x")

    moments.on_error(lambda number, _error: number)
    with pytest.raises(KeyError):
        await moments.run(1, double)
