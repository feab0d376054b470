"""Word error rate."""

from collections.abc import Iterable


def edit_distance(said: list[str], heard: list[str]) -> int:
    """Fewest insertions, deletions and replacements that turn one into the other."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(said, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Errors per word said, 0 … (1 is 100 %), over (said, heard) pairs."""
    errors = words = 0
    for said, heard in pairs:
        errors += edit_distance(said.split(), heard.split())
        words += len(said.split())
    return errors / max(words, 1)
