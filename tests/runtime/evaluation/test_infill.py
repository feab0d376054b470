import random

from runtime.evaluation.infill import gap_in, half, without_words


def test_a_gap_takes_one_colour_or_number_out() -> None:
    taken = {gap_in("two cats on a blue background", random.Random(i)) for i in range(20)}
    assert taken == {("", " cats on a blue background"), ("two cats on a ", " background")}


def test_all_colours_and_numbers_can_be_taken_out() -> None:
    assert without_words("two cats on a blue background") == ("", " cats on a ", " background")


def test_half_a_picture_is_half() -> None:
    halves = [half(random.Random(i)) for i in range(8)]
    assert {float(mask.mean()) for mask in halves} == {0.5}
    assert len({bool(mask[0, 0]) for mask in halves}) == 2
