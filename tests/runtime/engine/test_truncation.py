import pytest

from runtime.engine.prompt import COMPACT_CHAT, EncodedTurn, turn_positions
from runtime.engine.truncation import Truncation, truncated
from tests.support.tiny_model import tiny_model

TEXT = tiny_model().text
TURNS = [
    EncodedTurn("system", ("be brief",)),
    *(EncodedTurn(role, (f"{role} {i}",)) for i in range(4) for role in ("user", "assistant")),
    EncodedTurn("user", ("and now",)),
]
SIZES = [turn_positions(turn, TEXT, COMPACT_CHAT) for turn in TURNS]


def kept(room: int, truncation: Truncation | None = None) -> list[int]:
    turns = truncated(TURNS, room, truncation or Truncation(), TEXT, COMPACT_CHAT)
    return [TURNS.index(turn) for turn in turns]


def test_what_fits_stays() -> None:
    assert kept(sum(SIZES)) == list(range(len(TURNS)))


def test_the_oldest_go_and_the_system_stays() -> None:
    assert kept(sum(SIZES) - 1) == [0, *range(3, 10)]  # the answer to what went goes with it
    assert kept(0) == [0, 9]


def test_the_limit_counts_without_the_system() -> None:
    said = sum(SIZES[1:])
    assert kept(1000, Truncation(most_positions=said)) == list(range(10))
    assert kept(1000, Truncation(most_positions=said - 1)) == [0, *range(3, 10)]


def test_a_share_leaves_more_out_at_once() -> None:
    assert kept(sum(SIZES), Truncation(share=0.5)) == list(range(10))
    half = kept(sum(SIZES) - 1, Truncation(share=0.5))
    assert sum(SIZES[index] for index in half[1:]) <= (sum(SIZES) - 1 - SIZES[0]) / 2


def test_none_is_left_out_where_that_is_disabled() -> None:
    assert kept(10, Truncation(enabled=False)) == list(range(10))


@pytest.mark.parametrize("room", range(0, 200, 7))
def test_it_fits_or_it_is_the_last_turn_alone(room: int) -> None:
    left = kept(room)
    assert sum(SIZES[index] for index in left) <= room or left == [0, 9]
