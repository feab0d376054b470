from runtime.engine.denoising import DenoisingEngine
from runtime.engine.request import GenerationRequest, TextPart, Turn
from runtime.evaluation.waits import Wait, wait_for
from runtime.executors.in_process import InProcessExecutor
from tests.support.speaking_model import speaking_model

MODEL = speaking_model()


def waited(recipe: str) -> Wait:
    engine = DenoisingEngine(MODEL, InProcessExecutor(MODEL.backbone))
    try:
        turn = Turn("user", (TextPart("a cat above a dog"),))
        return wait_for(engine, GenerationRequest("r", (turn,), MODEL.recipes[recipe], seed=1))
    finally:
        engine.close()


def test_the_first_sound_comes_before_the_end() -> None:
    wait = waited("text_to_speech")
    assert wait.first_sound_s is not None
    assert 0 < wait.first_sound_s <= wait.end_s


def test_an_answer_that_is_not_spoken_has_no_first_sound() -> None:
    wait = waited("text_to_image")
    assert wait.first_sound_s is None
    assert wait.end_s > 0
