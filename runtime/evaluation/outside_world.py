"""What the model says of what it does not know: other things, in words and in pictures, and small talk beyond it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime.engine.request import ImagePart, Part, TextPart
from runtime.evaluation.answers import slot_of
from runtime.evaluation.figures import share
from runtime.training.outside import BEYOND, UNKNOWN, kept_for_tests, other_things
from runtime.training.pictures import other_pictures
from runtime.training.world import BACKGROUNDS, request_to_draw, with_article

if TYPE_CHECKING:
    from runtime.evaluation.report_card import ReportCard


def outside(card: ReportCard) -> None:
    """How often it says so, and how often it says so of what it should know. Things and lines were never trained on."""
    rng = random.Random(7)
    names = other_things(for_tests=True)
    requests = [
        f"draw {with_article(name)} on {with_article(rng.choice(list(BACKGROUNDS)))} background" for name in names
    ]
    _says_so(card, "asked to draw", "text_to_image", [(TextPart(said),) for said in requests])
    pictures = other_pictures(card.cache, names, styles=("twemoji",), each=1)
    _says_so(card, "shown", "image_to_text", [(ImagePart(picture), TextPart("what is this?")) for picture in pictures])
    beyond = [line for line in BEYOND if kept_for_tests(line)]
    _says_so(card, "asked", "text_to_text", [(TextPart(line),) for line in beyond])
    known = [(TextPart(request_to_draw(scene, rng)),) for scene in card.scenes(card.num)]
    _says_so(card, "(wrongly) of its own world", "text_to_image", known)


def _says_so(card: ReportCard, what: str, recipe: str, turns: Sequence[tuple[Part, ...]]) -> None:
    rights = [slot_of(answer, "text").text == UNKNOWN for answer in card.ask(recipe, turns)]
    card.add(share(f"says it does not know: {what}", rights))
