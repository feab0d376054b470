"""Other ways to say what a model was taught to be told, in the words it knows: "what's this?", "a picture of a cat"."""

import re
from collections.abc import Sequence

from runtime.engine.rules import PLACE, Wording, asked_as


def in_known_words(wordings: Sequence[Wording], said: str) -> str | None:
    """None where no wording fits, so that it stays as it was said."""
    for wording in wordings:
        if found := asked_as(wording.said, said):
            return _meant(wording.meant, found)
    return None


def _meant(meant: str, found: re.Match[str]) -> str:
    return PLACE.sub(lambda place: found[int(place[1])] or "", meant)
