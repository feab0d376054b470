import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.evaluation.word_errors import edit_distance, word_error_rate

sentences = st.lists(st.sampled_from("abc"), max_size=6)


@given(sentences, sentences)
def test_distance_is_symmetric_and_bounded(said: list[str], heard: list[str]) -> None:
    distance = edit_distance(said, heard)
    assert distance == edit_distance(heard, said)
    assert abs(len(said) - len(heard)) <= distance <= max(len(said), len(heard))
    assert (distance == 0) == (said == heard)


def test_errors_are_counted_over_all_words() -> None:
    assert word_error_rate([("a cat", "a cat"), ("two red apples", "two bread")]) == pytest.approx(2 / 5)
