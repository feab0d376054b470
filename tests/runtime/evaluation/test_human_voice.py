import numpy as np

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.request import SpeechPart
from runtime.evaluation.human_voice import Clip, errors_of, heard_by_model, texts_of
from runtime.executors.in_process import InProcessExecutor
from tests.support.tiny_model import tiny_model

LISTED = """; of a telephone system
activated: Activated.
tone: [a tone]
agent/pass: Please enter your password: now.
odd: (pause) Hello.
empty:
"""
SOUND = SpeechPart(np.random.default_rng(0).integers(-9000, 9000, 16_000, np.int16), 16_000)


def test_only_what_is_said_is_read() -> None:
    assert texts_of(LISTED) == {"activated": "Activated.", "agent/pass": "Please enter your password: now."}


def test_listeners_are_judged_on_the_same_clips() -> None:
    clips = [Clip("Login incorrect.", SOUND), Clip("All circuits are busy now.", SOUND)]
    listeners = {"deaf": lambda clips: [""] * len(clips), "perfect": lambda clips: [clip.text for clip in clips]}
    deaf, perfect = errors_of(listeners, clips, str.lower)
    assert (deaf.value, perfect.value) == (1.0, 0.0)
    assert deaf.measure == "a real human voice, deaf: word errors"


def test_the_model_writes_down_every_clip() -> None:
    model = tiny_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    try:
        heard = heard_by_model(model, engine, [Clip("a cat", SOUND)] * 2)
    finally:
        engine.close()
    assert len(heard) == 2
