import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.transcripts import NORMALISERS, WordErrors, align, error_measures, plain
from runtime.evaluation.word_errors import edit_distance

sentences = st.lists(st.sampled_from("abc"), max_size=7)
words = st.lists(st.sampled_from(["red", "blue", "cat", "sun"]), min_size=1, max_size=6).map(" ".join)


@given(sentences, sentences)
def test_errors_are_the_fewest_and_add_up(said: list[str], heard: list[str]) -> None:
    errors = align(said, heard)
    assert errors.total == edit_distance(said, heard)
    assert errors.num_words == len(said)
    assert errors.insertions - errors.deletions == len(heard) - len(said)
    assert errors.substitutions + errors.deletions <= len(said)
    assert min(errors.substitutions, errors.deletions, errors.insertions) >= 0


@given(sentences, sentences)
def test_turned_around_insertions_are_deletions(said: list[str], heard: list[str]) -> None:
    there, back = align(said, heard), align(heard, said)
    assert (there.insertions, there.deletions) == (back.deletions, back.insertions)
    assert there.substitutions == back.substitutions


def test_each_kind_of_error() -> None:
    assert align(["a", "red", "cat"], ["a", "bread", "cat"]) == WordErrors(3, 1, 0, 0)
    assert align(["a", "red", "cat"], ["a", "cat"]) == WordErrors(3, 0, 1, 0)
    assert align(["a", "cat"], ["oh", "a", "cat"]) == WordErrors(2, 0, 0, 1)


@settings(max_examples=20)
@given(st.lists(words, min_size=1, max_size=5))
def test_perfect_and_worst_case(texts: list[str]) -> None:
    perfect, *_ = error_measures([(text, text) for text in texts], plain)
    assert (perfect.value, perfect.num) == (0.0, len(texts))
    silent, substitutions, deletions, insertions = error_measures([(text, "") for text in texts], plain)
    assert silent.value == deletions.value == 1.0
    assert substitutions.value == insertions.value == 0.0
    twice, *_ = error_measures([(text, "x " * 3 * len(text.split())) for text in texts], plain)
    assert twice.value == 3.0, "more can be wrong than was said"


@settings(max_examples=20)
@given(st.lists(st.tuples(words, words), min_size=2, max_size=6))
def test_the_rate_is_over_all_words_and_within_its_bounds(pairs: list[tuple[str, str]]) -> None:
    rate, *parts = error_measures(pairs, plain)
    num_words = sum(len(said.split()) for said, _ in pairs)
    num_errors = sum(edit_distance(said.split(), heard.split()) for said, heard in pairs)
    assert rate.value == pytest.approx(num_errors / num_words)
    assert sum(part.value for part in parts) == pytest.approx(rate.value)
    assert rate.low is not None
    assert rate.high is not None
    assert 0 <= rate.low <= rate.high


def test_without_words_there_is_no_rate() -> None:
    with pytest.raises(DataError, match="reference texts"):
        error_measures([("", "something")], plain)


def test_plain_keeps_words_alone() -> None:
    assert plain("Mr. O’Brien's — WELL-known,  'dog'!") == "mr o'brien's well known dog"


@given(st.text(max_size=20))
def test_plain_changes_nothing_twice(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("TWENTY ONE DOGS", "21 dogs."),
        ("it's colourful", "it is colorful"),
        ("well-known", "WELL KNOWN"),
        ("um the dog", "The dog!"),
    ],
)
def test_whispers_rules_bring_spellings_together(one: str, other: str) -> None:
    normalise = NORMALISERS["whisper"]()
    assert normalise(one) == normalise(other)
