"""Two texts compared as speech is judged: brought to one spelling, then aligned word by word."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from runtime.evaluation.published.errors import DataError, missing
from runtime.evaluation.published.measures import Measure, bootstrapped

Normaliser = Callable[[str], str]


def plain(text: str) -> str:
    """Lower case; hyphens and punctuation between words gone, apostrophes within words kept; numbers as they are."""
    kept = re.sub(r"[^\w\s']|_", " ", text.lower().replace("’", "'"))
    return " ".join(word.strip("'") for word in kept.split() if word.strip("'"))


def whisper_normaliser() -> Normaliser:
    """The English rules published with Whisper: numbers as digits, contractions written out, American spelling."""
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        raise missing("whisper-normalizer") from error
    normaliser: Normaliser = EnglishTextNormalizer()
    return normaliser


NORMALISERS: dict[str, Callable[[], Normaliser]] = {"whisper": whisper_normaliser, "plain": lambda: plain}


@dataclass(frozen=True)
class WordErrors:
    """What turns `num_words` said into what was heard."""

    num_words: int
    substitutions: int
    deletions: int
    insertions: int

    @property
    def total(self) -> int:
        return self.substitutions + self.deletions + self.insertions


def align(said: Sequence[str], heard: Sequence[str]) -> WordErrors:
    """The fewest errors; of alignments with equally many, the one with the fewest deletions and insertions."""
    # Cells are (errors, deletions, insertions), compared in this order: the best way to each prefix of `heard`.
    row = [(i, 0, i) for i in range(len(heard) + 1)]
    for i, word in enumerate(said, 1):
        above_left, row[0] = row[0], (i, i, 0)
        for j, other in enumerate(heard, 1):
            above, left = row[j], row[j - 1]
            row[j], above_left = (
                min(
                    (above_left[0] + (word != other), above_left[1], above_left[2]),
                    (above[0] + 1, above[1] + 1, above[2]),
                    (left[0] + 1, left[1], left[2] + 1),
                ),
                above,
            )
    errors, deletions, insertions = row[-1]
    return WordErrors(len(said), errors - deletions - insertions, deletions, insertions)


def error_measures(pairs: Sequence[tuple[str, str]], normalise: Normaliser) -> tuple[Measure, ...]:
    """Word error rate over (said, heard) pairs, all errors by all words said, and its three parts."""
    found = [align(normalise(said).split(), normalise(heard).split()) for said, heard in pairs]
    words = np.array([errors.num_words for errors in found])
    if not words.sum():
        raise DataError(f"nothing is said in any of the {len(pairs)} reference texts; give texts with words in them")
    counts = {
        "word error rate": [errors.total for errors in found],
        "substitutions": [errors.substitutions for errors in found],
        "deletions": [errors.deletions for errors in found],
        "insertions": [errors.insertions for errors in found],
    }
    return tuple(_rate(name, np.array(each), words) for name, each in counts.items())


def _rate(name: str, errors: np.ndarray, words: np.ndarray) -> Measure:
    # A draw may hold only items without words.
    return bootstrapped(name, lambda chosen: errors[chosen].sum(-1) / np.maximum(words[chosen].sum(-1), 1), len(words))
