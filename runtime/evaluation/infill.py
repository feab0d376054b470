"""Infill: a masked word of a caption, a masked half of a picture, given the rest."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING

import numpy as np

from runtime.engine.given import GivenImage, GivenText
from runtime.engine.request import ImagePart, TextPart
from runtime.evaluation.answers import slot_of
from runtime.evaluation.figures import share
from runtime.training.data.drawings import DRAWN_STYLE
from runtime.training.data.scenes import CANVAS, render
from runtime.training.world import BACKGROUNDS, NUMBERS, request_to_draw

if TYPE_CHECKING:
    from runtime.evaluation.report_card import ReportCard

WORDS = "|".join((*BACKGROUNDS, *NUMBERS[2:]))  # one token each, so a gap of one holds them


def infill_text(card: ReportCard) -> None:
    """A colour or a number left out of the caption of a picture that is shown, exactly."""
    scenes = list(card.scenes(card.num))
    gaps = [gap_in(scene.caption, random.Random(i)) for i, scene in enumerate(scenes)]
    answers = card.ask(
        "image_to_text",
        [(ImagePart(render(scene, card.drawings, DRAWN_STYLE)), TextPart("what do you see?")) for scene in scenes],
        [[GivenText("text", gap)] for gap in gaps],
    )
    rights = [slot_of(answer, "text").text == scene.caption for answer, scene in zip(answers, scenes, strict=True)]
    card.add(share("infill: text, exact", rights, chance=1 / len(BACKGROUNDS)))


def gap_in(caption: str, rng: random.Random) -> tuple[str, ...]:
    """The pieces of a caption around one word that was taken out."""
    word = rng.choice(list(re.finditer(rf"\b(?:{WORDS})\b", caption)))
    return caption[: word.start()], caption[word.end() :]


def without_words(caption: str) -> tuple[str, ...]:
    """The pieces of a caption around all its colours and numbers."""
    return tuple(re.split(rf"\b(?:{WORDS})\b", caption))


def infill_picture(card: ReportCard) -> None:
    """The left or the right half of a picture painted anew, with the request beside it."""
    scenes = [scene for scene in card.scenes(4 * card.num) if scene.layout == "single"][: card.num]
    rng = random.Random(6)
    turns, given = [], []
    for scene in scenes:
        turns.append((TextPart(request_to_draw(scene, rng)),))
        given.append([GivenImage("image", render(scene, card.drawings, DRAWN_STYLE), half(rng))])
    card.judge_answers("infill: half a picture", scenes, card.ask("text_to_image", turns, given))


def half(rng: random.Random) -> np.ndarray:
    """(80, 80) bool, True on one side."""
    left = rng.random() < 0.5
    columns = np.arange(CANVAS) < CANVAS // 2
    return np.broadcast_to(columns if left else ~columns, (CANVAS, CANVAS))
