from dataclasses import dataclass

from runtime.engine.scheduler import choose


@dataclass
class Response:
    name: str
    last_served: int = 0
    num_canvases: int = 1
    longest_canvas: int = 100


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
