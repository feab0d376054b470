import random

import numpy as np

from runtime.evaluation.spoken_questions import asked_about
from runtime.training.data.speech import Utterance, plain_text
from runtime.training.world import questions

SAID = (
    "what is to the left of the banana",
    "draw a cat on a red background",
    "how many things are there",
    "is there a cat",
)


def test_every_question_gets_a_held_out_scene_that_it_fits() -> None:
    utterances = [Utterance(text, "kokoro/bm_george", np.zeros(9, np.int16), None) for text in SAID]
    found = list(asked_about(utterances, random.Random(0)))
    assert [said.text for said, _, _ in found] == [text for text in SAID if not text.startswith("draw")]
    for said, scene, question in found:
        assert scene.held_out
        assert plain_text(question.text) == said.text
        fitting = [one.answer for one in questions(scene, random.Random(0)) if one.about == question.about]
        assert question.about == "yes or no" or question.answer in fitting
