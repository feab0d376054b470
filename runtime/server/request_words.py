"""What the words of a turn ask for, as far as words tell it: an answer about a picture that was seen, or a drawing.

A rule of thumb for English. In other languages a question mark at the end is all that tells.
"""

import re


def _words(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORD = re.compile(r"[a-z']+")
_POLITE = _words("please now ok okay and so then well hey can could would will you i i'd want need like to us")
_DRAWING = _words("draw paint sketch show make create generate")
_ASKING = _words(
    "what what's which who who's whose where where's when why how is are was were do does did has have describe count"
)
_ARTICLES = _words("a an some one two three four five six")
_SEEN = re.compile(r"\b(?:describe|see)\b|\b(?:the|this|that) (?:picture|image|photo|drawing)\b")
_SCENE = re.compile(r"\b(?:on|above|below|beside|behind|of) an?\b")  # of things that were named without an article
_ADDRESSED = _words("you your you're yourself i me my")
_ENDS_ASKING = ("?", "\uff1f")


def asks_about_picture(words: str) -> bool:
    """Whether it is a question about what is seen: asked in its form, and not of whoever answers."""
    said = _said(words)
    opening = _opening(said)
    if opening in _DRAWING:
        return False
    if _SEEN.search(" ".join(said)):
        return True
    asked = opening in _ASKING or words.rstrip().endswith(_ENDS_ASKING)
    return asked and not _ADDRESSED & set(said)


def asks_to_draw(words: str) -> bool:
    """Whether something is to be drawn: told to, or just named, as in "a red cat on the left of a dog"."""
    said = _said(words)
    opening = _opening(said)
    if opening in _DRAWING:
        return True
    if opening in _ASKING or words.rstrip().endswith(_ENDS_ASKING):
        return False
    return opening in _ARTICLES or bool(_SCENE.search(" ".join(said)) and not _ADDRESSED & set(said))


def _said(words: str) -> list[str]:
    return _WORD.findall(words.lower())


def _opening(said: list[str]) -> str:
    """The first word that is more than politeness."""
    return next((word for word in said if word not in _POLITE), "")
