"""Rules of a model file: what its answers are held against, when it does not know, and what is meant by what is said.

They are data that suits the weights and the language they were taught.
"""

import re
from typing import Annotated

import msgspec

ANSWER = "answer"
PLACE = re.compile(r"{([^{}]*)}")  # in a claim: {answer}, {1}, {a question}
LONGEST = 400  # characters of what a pattern is held against
FORMS = ("", "one", "many", "a")  # of a word in a follow-up


class Unsure(msgspec.Struct, frozen=True):
    """What the text slots of some recipes say instead of an answer that is not worth `margin` nats a token more."""

    says: str
    margin: float
    recipes: tuple[str, ...]


class Claim(msgspec.Struct, frozen=True):
    """asked: a question, as a regular expression. drawn: requests that a right answer to it would make.

    In them stand {answer}, {1} for the first group of `asked`, and {any question} for the model's answer to that.
    """

    asked: str
    drawn: tuple[str, ...]

    def __post_init__(self) -> None:
        num_groups = _num_groups(self.asked)
        if not self.drawn:
            raise ValueError(f"nothing would be drawn of an answer to {self.asked!r}; name a request at least")
        for request in self.drawn:
            places = PLACE.findall(request)
            if ANSWER not in places:
                raise ValueError(f"{request!r} has no place for the answer; write {{{ANSWER}}} where it stands")
            _check_groups(request, self.asked, num_groups)

    def is_about(self, question: str) -> bool:
        return asked_as(self.asked, question) is not None


def asked_as(pattern: str, question: str) -> re.Match[str] | None:
    """Whether a question is of a form, however it is written. A long one is of none: patterns may take its square."""
    return re.fullmatch(pattern, question.strip().lower()) if len(question) <= LONGEST else None


def _num_groups(pattern: str) -> int:
    try:
        return re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression ({error})") from error


def _check_groups(text: str, asked: str, num_groups: int) -> None:
    """Raises ValueError if a place of `text` is for a group that `asked` has not."""
    for place in PLACE.findall(text):
        if place.isdigit() and not 1 <= int(place) <= num_groups:
            raise ValueError(f"{text!r} asks for group {place}; {asked!r} has {num_groups}")


class Implied(msgspec.Struct, frozen=True):
    """A question whose answer follows from that to another one.

    asked: the question, as a regular expression. by: the other one. answers: each answer with what the other one's is
    then, all of it, as a regular expression; {1} in it is the first group of `asked`.
    """

    asked: str
    by: str
    answers: dict[str, str]

    def __post_init__(self) -> None:
        num_groups = _num_groups(self.asked)
        if not self.answers:
            raise ValueError(f"nothing is said to {self.asked!r}; name an answer at least")
        for pattern in self.answers.values():
            _num_groups(PLACE.sub("x", pattern))
            _check_groups(pattern, self.asked, num_groups)


class Explained(msgspec.Struct, frozen=True):
    """How an answer about a picture is held against the picture: by how likely it would be drawn so.

    claims: what is asked, and what request to draw an answer makes. recipes: those with such answers. reads, draws: the
    recipes that ask about a picture and that draw one. weight: of a nat, beside one of the answer's own. implied: what
    is asked that the answer to a claim's question tells.
    """

    claims: tuple[Claim, ...]
    recipes: tuple[str, ...]
    weight: float
    implied: tuple[Implied, ...] = ()
    reads: str = "image_to_text"
    draws: str = "text_to_image"

    def __post_init__(self) -> None:
        for implied in self.implied:
            if not any(claim.is_about(implied.by) for claim in self.claims):
                raise ValueError(f"no claim is about {implied.by!r}, by which {implied.asked!r} is answered; add one")


class Spelled(msgspec.Struct, frozen=True):
    """How what is heard is held against the sound. letters: of the speech encoder's CTC head, its blank first.

    weight: of a nat, beside one of the transcript's own. tempo: at which the sound is spelled; slower than it was said,
    no two letters fall into one row.
    """

    letters: str
    weight: float
    tempo: Annotated[float, msgspec.Meta(ge=0.25, le=4.0)] = 1.0


class Wording(msgspec.Struct, frozen=True):
    """said: another way to say it, a regular expression. meant: in words the model knows, {1} for a group of `said`."""

    said: str
    meant: str

    def __post_init__(self) -> None:
        num_groups = _num_groups(self.said)
        for place in PLACE.findall(self.meant):
            if not place.isdigit():
                raise ValueError(f"{self.meant!r} has a place {place!r}; name the number of a group of {self.said!r}")
        _check_groups(self.meant, self.said, num_groups)


class FollowUp(msgspec.Struct, frozen=True):
    """asked: what is said, before: what the last picture shows, as regular expressions. drawn: the request in full.

    In it stand {1} for the first group of `asked`, {name} for a named one of `before`, and {one name}, {many name},
    {a name} for a noun as a single one with its article, for several of it, and for any word with an article. A group
    of the name "noun" is one that is known.
    """

    asked: str
    before: str
    drawn: str

    def __post_init__(self) -> None:
        num_groups, _ = _num_groups(self.asked), _num_groups(self.before)
        names = [*map(str, range(1, num_groups + 1)), *re.compile(self.before).groupindex]
        for place in PLACE.findall(self.drawn):
            form, _, name = place.rpartition(" ")
            if form not in FORMS or name not in names:
                raise ValueError(
                    f"{self.drawn!r} has a place {place!r}; name one of {', '.join(names) or 'no group at all'}, "
                    f"alone or behind {', '.join(filter(None, FORMS))}"
                )


class FollowUps(msgspec.Struct, frozen=True):
    """How a wish about the last picture is put in full, for a model that reads one turn.

    rules: the first that fits counts. plurals: of the nouns it knows.
    """

    rules: tuple[FollowUp, ...]
    plurals: dict[str, str]
