"""Pictures that come next: with the last one in sight, "make it three", "now on green"."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from runtime.engine.request import ImagePart, TextPart
from runtime.training.data.drawings import DRAWN_STYLE
from runtime.training.data.scenes import render
from runtime.training.world import Scene, random_scene
from runtime.training.world import follow_up as next_scene

if TYPE_CHECKING:
    from runtime.evaluation.report_card import ReportCard


def follow_up(card: ReportCard) -> None:
    """Scenes that are held out, asked for as changes of real pictures."""
    asked = changes(card.num, random.Random(5))
    turns = [(ImagePart(render(scene, card.drawings, DRAWN_STYLE)), TextPart(said)) for scene, said, _ in asked]
    wanted = [scene for _, _, scene in asked]
    card.judge_answers("follow-up to image", wanted, card.ask("text_and_image_to_image", turns))


def changes(num: int, rng: random.Random) -> list[tuple[Scene, str, Scene]]:
    """(the scene in sight, what is said, the held-out scene that is wanted)."""
    found: list[tuple[Scene, str, Scene]] = []
    while len(found) < num:
        scene = random_scene(rng)
        said, wanted = next_scene(scene, rng)
        if wanted.held_out:
            found.append((scene, said, wanted))
    return found
