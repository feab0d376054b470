"""Pictures that come next: with the last one in sight, "make it three", "now on green"."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from runtime.engine.follow_ups import in_full
from runtime.engine.request import ImagePart, TextPart
from runtime.evaluation.answers import slot_of
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


def follow_up_in_conversation(card: ReportCard) -> None:
    """The same scenes asked for as changes of what the model drew itself, put in full as the server does it."""
    if card.model.follow_ups is None:
        return
    asked = changes(card.num, random.Random(5))
    before = card.ask("text_to_image", [(TextPart(f"draw {scene.caption}"),) for scene, _, _ in asked])
    captions = [slot_of(answer, "text").text or "" for answer in before]
    requests = [
        in_full(card.model.follow_ups, said, caption) or said
        for (_, said, _), caption in zip(asked, captions, strict=True)
    ]
    answers = card.ask("text_to_image", [(TextPart(request),) for request in requests])
    card.judge_answers("follow-up in a conversation", [wanted for _, _, wanted in asked], answers)


def changes(num: int, rng: random.Random) -> list[tuple[Scene, str, Scene]]:
    """(the scene in sight, what is said, the held-out scene that is wanted)."""
    found: list[tuple[Scene, str, Scene]] = []
    while len(found) < num:
        scene = random_scene(rng)
        said, wanted = next_scene(scene, rng)
        if wanted.held_out:
            found.append((scene, said, wanted))
    return found
