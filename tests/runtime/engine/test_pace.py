import math

from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.pace import affordable, shared

SLACK = st.floats(-10, 1000, allow_nan=False)


def test_time_buys_steps_between_floor_and_plan() -> None:
    assert affordable(1.0, 0.1, floor=2, planned=20) == 10
    assert affordable(0.05, 0.1, floor=2, planned=20) == 2
    assert affordable(9.0, 0.1, floor=2, planned=20) == 20
    assert affordable(0.5, 0.0, floor=2, planned=20) == 20  # nothing known yet
    assert affordable(-1.0, 0.1, floor=9, planned=4) == 4


@given(SLACK, st.floats(0.001, 10), st.integers(1, 50), st.integers(1, 300))
def test_never_below_the_floor_nor_above_the_plan(slack_s: float, step_s: float, floor: int, planned: int) -> None:
    steps = affordable(slack_s, step_s, floor, planned)
    assert min(floor, planned) <= steps <= planned
    assert steps == min(floor, planned) or steps <= math.floor(slack_s / step_s)


@given(st.integers(1, 400), st.dictionaries(st.text(max_size=3), st.integers(1, 100), min_size=1, max_size=4))
def test_steps_are_shared_without_a_rest(steps: int, left: dict[str, int]) -> None:
    shares = shared(steps, left)
    assert shares.keys() == left.keys()
    assert all(1 <= shares[name] <= left[name] for name in left)
    assert sum(shares.values()) == max(len(left), min(steps, sum(left.values())))


def test_the_longer_slot_gets_the_larger_share() -> None:
    assert shared(10, {"image": 40, "text": 4}) == {"image": 9, "text": 1}
    assert shared(22, {"image": 40, "text": 4}) == {"image": 20, "text": 2}
