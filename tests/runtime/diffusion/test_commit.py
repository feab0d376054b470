import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runtime.diffusion.commit import COMMIT_RULES, CommitRule, Open, committed, doubtful, without_prior


def table(best: list[float], before: list[int] | None = None) -> Open:
    """Position i has its best token, column 0, with probability best[i]; column 1 has what is left."""
    probabilities = torch.tensor([[p, 1 - p] for p in best])
    seen = None if before is None else torch.tensor(before)
    return Open(probabilities[:, 0], probabilities, torch.zeros(len(best), dtype=torch.long), seen)


def chosen(rule: CommitRule, bound: float, positions: Open, count: int) -> set[int]:
    return set(committed(rule, bound, positions, count).tolist())


SURE = [0.6, 0.99, 0.95, 0.51, 0.9]


def test_the_schedule_takes_the_surest_and_no_more() -> None:
    assert chosen("schedule", 0.0, table(SURE), 2) == {1, 2}


@pytest.mark.parametrize(("bound", "expected"), [(0.9, {1, 2, 4}), (0.999, {1}), (0.0, {0, 1, 2, 3, 4})])
def test_a_threshold_takes_all_above_it_and_the_surest_anyway(bound: float, expected: set[int]) -> None:
    assert chosen("threshold", bound, table(SURE), 1) == expected


def test_the_entropy_bound_counts_all_but_the_last() -> None:
    positions = table([0.5, 0.5, 0.5])  # ln 2 nats each
    assert len(chosen("entropy_bound", 0.0, positions, 1)) == 1
    assert len(chosen("entropy_bound", 0.7, positions, 1)) == 2
    assert len(chosen("entropy_bound", 1.4, positions, 1)) == 3


def test_an_entropy_of_nothing_costs_nothing() -> None:
    assert chosen("entropy_bound", 0.01, table([1.0, 0.6, 1.0, 1.0]), 1) == {0, 1, 2, 3}
    assert chosen("entropy_bound", 0.01, table([1.0, 0.6, 0.6, 1.0]), 1) in ({0, 1, 3}, {0, 2, 3})


def test_a_certain_answer_is_filled_at_once_and_a_doubt_holds_all_of_it() -> None:
    assert chosen("certain_answer", 0.5, table([0.9, 0.8, 0.95]), 1) == {0, 1, 2}
    assert chosen("certain_answer", 0.5, table([0.9, 0.6, 0.95]), 1) == {2}


def test_the_stable_prefix_stops_at_the_first_doubt() -> None:
    sure = [0.99, 0.99, 0.3, 0.99]
    assert chosen("stable_prefix", 0.9, table(sure, [0, 0, 0, 0]), 1) == {0, 1}
    assert chosen("stable_prefix", 0.9, table(sure, [0, 1, 0, 0]), 1) == {0}  # the second has changed its mind
    assert chosen("stable_prefix", 0.9, table(sure), 1) == {0}  # nothing was seen twice yet
    assert chosen("stable_prefix", 0.9, table(sure, [0, 0, 0, 0]), 3) == {0, 1, 2}


@given(
    st.sampled_from(COMMIT_RULES),
    st.floats(0, 3),
    st.lists(st.floats(0.01, 1.0), min_size=1, max_size=12),
    st.data(),
)
def test_every_rule_fills_what_the_schedule_asks_for_and_nothing_twice(
    rule: CommitRule, bound: float, sure: list[float], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(sure)))
    before = data.draw(st.none() | st.lists(st.integers(0, 1), min_size=len(sure), max_size=len(sure)))
    found = committed(rule, bound, table(sure, before), count).tolist()
    assert count <= len(found) == len(set(found))
    assert set(found) <= set(range(len(sure)))


def test_what_is_likely_everywhere_is_no_sign_of_certainty() -> None:
    probabilities = torch.tensor([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.4, 0.6, 0.0]])
    plain, calibrated = without_prior(probabilities, 0.0), without_prior(probabilities, 1.0)
    assert plain is probabilities
    assert plain[:, 0].max() > plain[2, 1]
    assert calibrated[2, 1] > calibrated[:, 0].max()
    assert torch.allclose(calibrated.sum(-1), torch.ones(3))


def test_doubts_spare_what_is_fixed_and_what_is_open() -> None:
    confidence = torch.tensor([0.9, 0.2, 0.0, 0.1, 0.3])
    fixed = torch.tensor([False, False, False, True, False])
    assert doubtful(confidence, fixed, 0.5).tolist() == [1, 4]
    assert doubtful(confidence, fixed, 0.0).tolist() == []
