from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from runtime.engine.scheduler import Ledger, choose


@dataclass
class Response:
    name: str
    last_served: int = 0
    num_canvases: int = 1
    longest_canvas: int = 100
    tenant: str = ""
    due_s: float = 0.0


def names(responses: list[Response], budget: int) -> list[str]:
    return [response.name for response in choose(responses, budget)]


def test_all_that_fit_share_the_step() -> None:
    assert names([Response("a"), Response("b")], 200) == ["a", "b"]


def test_padding_counts() -> None:
    assert names([Response("a", longest_canvas=10), Response("b", longest_canvas=100)], 199) == ["a"]


def test_a_guided_response_counts_twice() -> None:
    assert names([Response("a", num_canvases=2), Response("b")], 299) == ["a"]


def test_one_is_always_served_and_nobody_waiting_is_nobody_chosen() -> None:
    assert names([Response("a", longest_canvas=10_000)], 1) == ["a"]
    assert names([], 100) == []


def test_a_large_one_is_not_jumped_over_by_later_ones() -> None:
    waiting = [
        Response("a", last_served=3),
        Response("large", last_served=1, longest_canvas=900),
        Response("b", last_served=2),
    ]
    assert names(waiting, 1000) == ["large"]


def test_everyone_gets_a_turn() -> None:
    responses = [Response(str(i)) for i in range(5)]
    served = []
    for _ in range(5):
        for response in choose(responses, 200):
            served.append(response.name)
            response.last_served = len(served)
    assert served == ["0", "1", "2", "3", "4", "0", "1", "2", "3", "4"]


def test_the_most_urgent_goes_first() -> None:
    waiting = [Response("later", due_s=5.0), Response("soon", due_s=1.0, last_served=9)]
    assert names(waiting, 100) == ["soon"]


def test_the_tenant_that_had_least_chooses_first() -> None:
    waiting = [Response("a", tenant="rich", due_s=0.0), Response("b", tenant="poor", due_s=9.0)]
    assert [r.name for r in choose(waiting, 100, {"rich": 500, "poor": 400})] == ["b"]
    assert [r.name for r in choose(waiting, 100, {"rich": 300, "poor": 400})] == ["a"]


def test_who_comes_back_gets_no_credit_for_idle_time() -> None:
    ledger, idle, busy = Ledger(), Response("i", tenant="idle"), Response("b", tenant="busy")
    ledger.keep({"busy", "idle"})
    ledger.charge(idle)
    for _ in range(50):
        ledger.keep({"busy"})
        ledger.charge(busy)
    ledger.keep({"busy", "idle"})
    assert ledger.served["idle"] == ledger.served["busy"] == 5000


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 300), st.integers(1, 2)), min_size=1, max_size=12),
    st.integers(1, 2000),
)
def test_nobody_starves_and_the_budget_holds(crowd: list[tuple[str, int, int]], budget: int) -> None:
    responses = [
        Response(str(i), tenant=tenant, longest_canvas=length, num_canvases=count)
        for i, (tenant, length, count) in enumerate(crowd)
    ]
    ledger, turns = Ledger(), 0
    served: set[str] = set()
    while len(served) < len(responses):
        ledger.keep({response.tenant for response in responses})
        chosen = choose(responses, budget, ledger.served)
        padded = sum(r.num_canvases for r in chosen) * max(r.longest_canvas for r in chosen)
        assert len(chosen) == 1 or padded <= budget
        turns += 1
        for response in chosen:
            ledger.charge(response)
            response.last_served = turns
            served.add(response.name)
        assert turns <= 600 * len(responses)
