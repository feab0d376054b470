import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from runtime.models.backbone import segment_bias
from runtime.training.published.layout import NOT_LEARNED, Row, SpeechPlaces
from runtime.training.published.packing import pack

PADDING, LENGTH = 2, 60
ROWS = st.lists(
    st.lists(st.tuples(st.integers(3, 50), st.booleans()), min_size=1, max_size=15).map(
        lambda cells: Row(
            tuple(token for token, _ in cells), tuple(token if own else NOT_LEARNED for token, own in cells)
        )
    ),
    min_size=1,
    max_size=4,
)


def row(length: int, first: int = 10, speech: tuple[SpeechPlaces, ...] = ()) -> Row:
    tokens = tuple(range(first, first + length))
    return Row(tokens, tokens, speech)


@given(ROWS)
def test_no_token_and_no_label_is_lost(rows: list[Row]) -> None:
    packed = pack(rows, LENGTH, PADDING)
    total = sum(map(len, rows))
    assert packed.num_rows == len(rows)
    assert packed.token_ids[packed.real].tolist() == [token for row in rows for token in row.token_ids]
    assert packed.labels[packed.real].tolist() == [label for row in rows for label in row.labels]
    assert packed.token_ids[~packed.real].tolist() == [PADDING] * (LENGTH - total)
    assert packed.labels[~packed.real].tolist() == [NOT_LEARNED] * (LENGTH - total)


@given(ROWS)
def test_a_row_sees_all_of_itself_and_nothing_else(rows: list[Row]) -> None:
    packed = pack(rows, LENGTH, PADDING)
    seen = segment_bias(packed.position_ids, torch.float32, packed.real)[0, 0] == 0
    owner = [i for i, row in enumerate(rows) for _ in row.token_ids]
    own = torch.tensor(owner + [-1] * (LENGTH - len(owner)))
    wanted = (own[:, None] == own[None]) & (own >= 0)[:, None]
    assert torch.equal(seen, wanted | torch.eye(LENGTH, dtype=torch.bool))


@given(ROWS)
def test_positions_begin_anew_with_each_row(rows: list[Row]) -> None:
    places = pack(rows, LENGTH, PADDING).position_ids[0].tolist()
    for row in rows:
        assert places[: len(row)] == list(range(len(row)))
        places = places[len(row) :]
    assert places == list(range(len(rows[-1]), len(rows[-1]) + len(places)))


def test_speech_moves_with_its_row_the_first_of_a_pack_too() -> None:
    heard = SpeechPlaces(torch.zeros(2, 560), start=1)
    packed = pack([row(5), row(8, speech=(heard,)), row(9, speech=(heard,))], 30, PADDING)
    assert [list(places.positions) for places in packed.speech] == [list(range(6, 12)), list(range(14, 20))]


@pytest.mark.parametrize("lengths", [[], [7], [3, 4]])
def test_what_does_not_fit_is_refused(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one row and at most 6 fit"):
        pack([row(length) for length in lengths], 6, PADDING)


def test_it_can_be_moved_to_a_device() -> None:
    packed = pack([row(5)], 8, PADDING)
    moved = packed.to(torch.device("meta"))
    assert {tensor.device.type for tensor in (moved.token_ids, moved.labels, moved.position_ids, moved.real)} == {
        "meta"
    }
    assert packed.token_ids.device.type == "cpu"
