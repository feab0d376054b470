import asyncio
import json

from runtime.engine.denoising import DenoisingEngine
from runtime.evaluation.calls import Attempt, attempt, card_of
from runtime.evaluation.structured_outputs import FORMS, figures, measured, sentences
from runtime.executors.in_process import InProcessExecutor
from tests.support.tiny_model import tiny_model


def test_every_sentence_has_its_answer() -> None:
    asked = sentences()
    assert len({command.words for command in asked}) == len(asked) == 18
    for command in asked:
        told = attempt(command.tool, json.dumps(command.arguments), FORMS)
        assert told == Attempt(command.tool, command.arguments)


def test_figures_count_answers_and_values() -> None:
    asked = sentences()[:2]
    attempts = [Attempt(None, None), Attempt("Order", {**asked[1].arguments, "count": 10})]
    assert [figure.value for figure in figures("w", asked, attempts)] == [1 / 2, 2 / 6, 0]


def test_a_model_that_knows_nothing_answers_validly_in_a_form() -> None:
    model = tiny_model()
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    try:
        told = {figure.measure: figure.value for figure in asyncio.run(measured(engine, card_of(model)))}
    finally:
        engine.close()
    assert told["answers of a type, as served: valid"] == told["answers of a type, model alone: valid"] == 1
    assert told["answers of a type, free writing: valid"] == 0
    assert told["answers of a type, as served: all right"] > told["answers of a type, model alone: all right"]
