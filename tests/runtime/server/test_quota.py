import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.server.keys import Limits
from runtime.server.quota import Exceeded, Left, Quota


def test_what_is_used_up_comes_back_within_a_minute() -> None:
    quota = Quota(Limits(steps=60), now=0)
    quota.take(0, steps=59)
    assert quota.exceeded(0) is None
    quota.take(0, steps=1)
    assert quota.exceeded(0) == Exceeded("steps", 60, 1)
    assert quota.exceeded(1) is None
    assert quota.left(30) == [Left("steps", 60, 30, 30)]
    assert quota.left(1000) == [Left("steps", 60, 60, 0)]


def test_a_debt_is_paid_back_first() -> None:
    quota = Quota(Limits(steps=60), now=0)
    quota.take(0, steps=160)
    assert quota.exceeded(0) == Exceeded("steps", 60, 101)
    assert quota.exceeded(99) == Exceeded("steps", 60, 2)
    assert quota.exceeded(101) is None


def test_what_is_given_back() -> None:
    quota = Quota(Limits(steps=60), now=0)
    quota.take(0, steps=50)
    quota.take(0, steps=-50)
    assert quota.left(0) == [Left("steps", 60, 60, 0)]
    quota.take(0, steps=-50)
    assert quota.left(0) == [Left("steps", 60, 60, 0)]


def test_without_limits_nothing_counts() -> None:
    quota = Quota(Limits(sessions=1), now=0)
    quota.take(0, steps=10**9, bytes=10**12)
    assert quota.exceeded(0) is None
    assert quota.left(0) == []


def test_the_longest_wait_is_told_and_others_can_be_asked_for() -> None:
    quota = Quota(Limits(steps=60, bytes=60), now=0)
    quota.take(0, steps=70, bytes=65)
    assert quota.exceeded(0) == Exceeded("steps", 60, 11)
    assert quota.exceeded(0, ("bytes",)) == Exceeded("bytes", 60, 6)
    assert quota.exceeded(0, ("pixels",)) is None


def test_a_clock_that_goes_back_gives_nothing() -> None:
    quota = Quota(Limits(steps=60), now=100)
    quota.take(100, steps=60)
    assert quota.exceeded(0) is not None
    assert quota.exceeded(100) is not None


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 100)), min_size=1, max_size=30), st.floats(1, 1000))
def test_no_more_than_the_limit_a_minute_in_the_long_run(asked: list[tuple[float, float]], limit: float) -> None:
    """Who only asks while one is left gets a full bucket, what comes in meanwhile, and one debt."""
    quota, now, taken, largest = Quota(Limits(steps=limit), now=0), 0.0, 0.0, 0.0
    for pause, amount in asked:
        now += pause
        if quota.exceeded(now) is None:
            quota.take(now, steps=amount)
            taken, largest = taken + amount, max(largest, amount)
    assert taken <= limit + now * limit / 60 + largest + 1e-6


@given(st.floats(1, 1000), st.floats(0, 10_000))
def test_the_wait_that_is_told_is_enough(limit: float, amount: float) -> None:
    quota = Quota(Limits(steps=limit), now=0)
    quota.take(0, steps=amount)
    over = quota.exceeded(0)
    if over is not None:
        assert quota.exceeded(over.wait_s + 1e-6) is None
        assert over.wait_s == pytest.approx(max(0, amount - limit) * 60 / limit, abs=62)
