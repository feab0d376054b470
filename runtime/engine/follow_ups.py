"""Wishes about the last picture, put in full: "make it three", with a cat on green in sight, asks for three cats there.

For a model that reads one turn. Its model file says which wishes it knows, and the nouns of its world.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.engine.rules import PLACE, FollowUps, asked_as


def in_full(follow_ups: FollowUps, asked: str, shown: str) -> str | None:
    """The request that `asked` makes of a picture of `shown`, in words both; None where no rule knows."""
    nouns = Nouns(follow_ups.plurals)
    for rule in follow_ups.rules:
        wish, before = asked_as(rule.asked, asked), asked_as(rule.before, shown)
        if wish is None or before is None:
            continue
        told = {str(number): group or "" for number, group in enumerate(wish.groups(), 1)} | before.groupdict("")
        if "noun" in told and nouns.one(told["noun"]) is None:
            continue
        if (request := _written(rule.drawn, told, nouns)) is not None:
            return request
    return None


@dataclass(frozen=True)
class Nouns:
    """Those of a world: their plurals by their singulars."""

    plurals: Mapping[str, str]

    def one(self, noun: str) -> str | None:
        """A single one with its article; None for what is no noun."""
        found = next((one for one, many in self.plurals.items() if noun in (one, many)), None)
        return found if found is None or self._always_many(found) else with_article(found)

    def many(self, noun: str) -> str | None:
        return next((many for one, many in self.plurals.items() if noun in (one, many)), None)

    def _always_many(self, noun: str) -> bool:
        return noun.endswith("s") and self.plurals[noun] == noun


def with_article(word: str) -> str:
    return f"{'an' if word[:1] in 'aeiou' else 'a'} {word}"


def _written(drawn: str, told: Mapping[str, str], nouns: Nouns) -> str | None:
    """None if a noun in it is not known."""
    forms = {"one": nouns.one, "many": nouns.many, "a": with_article}
    words = {}
    for place in PLACE.findall(drawn):
        form, _, name = place.rpartition(" ")
        word = forms[form](told[name]) if form else told[name]
        if word is None:
            return None
        words[place] = word
    return PLACE.sub(lambda place: words[place[1]], drawn)
