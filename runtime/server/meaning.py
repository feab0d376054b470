"""What is meant by what was said, in words that the model knows and in full, as its model file tells."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from runtime.engine.follow_ups import in_full
from runtime.engine.request import ImagePart, TextPart, Turn
from runtime.engine.rules import FollowUps
from runtime.engine.wordings import in_known_words
from runtime.server.model_card import ModelCard


def meaning(
    card: ModelCard, turns: Sequence[Turn], said: str | None, *, wishing: bool
) -> tuple[Sequence[Turn], str | None]:
    """The turns and the words of the last one as the model was taught to be told them.

    said: those words; None while nobody knows them. wishing: whether they may be a wish about the last picture.
    """
    turns, said = _in_known_words(card, turns, said)
    request = _in_full(card, turns, said) if wishing else None
    return (turns, said) if request is None else ([*turns[:-1], Turn("user", (TextPart(request),))], request)


def written(turn: Turn) -> str:
    """The words of a turn that were not spoken."""
    return " ".join(part.text for part in turn.parts if isinstance(part, TextPart))


def pictures_in(turn: Turn) -> list[ImagePart]:
    return [part for part in turn.parts if isinstance(part, ImagePart)]


def _in_known_words(card: ModelCard, turns: Sequence[Turn], said: str | None) -> tuple[Sequence[Turn], str | None]:
    """The turns and the words of the last one, as the model was taught to be told them, if they were written."""
    words = written(turns[-1])
    known = in_known_words(card.wordings, words)
    if known is None:
        return turns, said
    media = [part for part in turns[-1].parts if not isinstance(part, TextPart)]
    return [*turns[:-1], replace(turns[-1], parts=(*media, TextPart(known)))], known if said == words else said


def _in_full(card: ModelCard, turns: Sequence[Turn], said: str | None) -> str | None:
    """What the last turn asks for, if it is a wish about the last picture that the model has rules for.

    What a picture shows, the answer says that drew it or that follows it, or who asked for it; that may be a wish, too.
    """
    if card.follow_ups is None or said is None or pictures_in(turns[-1]):
        return None
    shown: list[str] = []
    for before, turn in pairwise(turns):
        words = in_known_words(card.wordings, written(before)) or written(before)
        if pictures_in(turn):
            shown = [written(turn), words, *_requests(card.follow_ups, words, shown)]
        elif pictures_in(before) and turn.role == "assistant":  # also one that was told of, not drawn here
            shown = [written(turn), words, *shown]
    return next(_requests(card.follow_ups, said, shown), None)


def _requests(follow_ups: FollowUps, said: str, shown: Sequence[str]) -> Iterator[str]:
    requests = (in_full(follow_ups, said, words) for words in shown)
    return (request for request in requests if request is not None)
