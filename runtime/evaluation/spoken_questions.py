"""Questions about a picture that are spoken, by voices nobody trained on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from runtime.engine.request import ImagePart, SpeechPart
from runtime.evaluation.answers import slot_of
from runtime.evaluation.figures import share
from runtime.training.data.drawings import DRAWN_STYLE
from runtime.training.data.scenes import render
from runtime.training.data.speech import SAMPLE_RATE, Utterance, load_utterances, plain_text
from runtime.training.world import Question, Scene, questions, random_scene

if TYPE_CHECKING:
    from runtime.evaluation.report_card import ReportCard

TRIES = 5000  # scenes that are looked at for one that a question fits


def spoken_questions(card: ReportCard) -> None:
    """How often the answer is right, and how often it was asked what was understood."""
    utterances = load_utterances("test_held_out_voices", card.cache)
    asked = list(asked_about(utterances, random.Random(6)))[: card.num]
    turns = [
        (ImagePart(render(scene, card.drawings, DRAWN_STYLE)), SpeechPart(said.pcm, SAMPLE_RATE))
        for said, scene, _ in asked
    ]
    answers = card.ask("speech_and_image_to_text", turns)
    both = list(zip(asked, answers, strict=True))
    right = [slot_of(answer, "text").text == question.answer for (_, _, question), answer in both]
    heard = [slot_of(answer, "transcript").text == said.text for (said, _, _), answer in both]
    card.add(share("spoken question about a picture: right", right))
    card.add(share("spoken question about a picture: heard to the letter", heard))


def asked_about(utterances: Sequence[Utterance], rng: random.Random) -> Iterator[tuple[Utterance, Scene, Question]]:
    """Each question that is among them, with a held-out scene that it fits."""
    for utterance in utterances:
        for _ in range(TRIES if utterance.text.startswith(("what", "how", "is", "describe")) else 0):
            scene = random_scene(rng, held_out=True)
            fitting = [question for question in questions(scene, rng) if plain_text(question.text) == utterance.text]
            if fitting:
                yield utterance, scene, fitting[0]
                break
