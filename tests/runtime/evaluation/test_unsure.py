from dataclasses import replace
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from runtime.engine.model import doubting, save_model
from runtime.engine.rules import Unsure
from runtime.evaluation.unsure import ASKED, Shown, known_scenes, shares_right, unsure
from runtime.training.data.drawings import SIZES, STYLES, Drawings
from runtime.training.world import THINGS, Question
from tests.support.tiny_model import SPEECH_ENCODER, tiny_model

MODEL = tiny_model()
PICTURE = np.zeros((80, 80, 3), np.uint8)
SAYS = Unsure("who knows", 0.0, ("image_to_text",))


def drawings() -> Drawings:
    sprites = {size: np.full((len(THINGS), len(STYLES), size, size, 4), 255, np.uint8) for size in SIZES}
    return Drawings(tuple(THINGS), STYLES, sprites)


def test_a_larger_margin_doubts_what_it_should_and_what_it_should_not() -> None:
    shown = [Shown("unknown", PICTURE, Question("what", "what is this", SAYS.says))] * 2
    figures = {}
    for margin in (-99.0, 99.0):
        model = replace(MODEL, recipes=doubting(MODEL.recipes, Unsure(SAYS.says, margin, SAYS.recipes)))
        (figures[margin],) = shares_right(model, shown, f"margin {margin:g}")
    assert (figures[-99.0].value, figures[99.0].value) == (0.0, 1.0)
    assert figures[99.0].measure == "margin 99, unknown"
    assert figures[99.0].num == 2


def test_each_kind_of_question_is_asked_of_training_combinations_in_both_ways() -> None:
    shown = list(known_scenes(drawings(), 2))
    kinds = [f"{way}: {about}" for way in ("known", "known, looser") for about in ASKED]
    assert sorted({one.kind for one in shown}) == sorted(kinds)
    assert len(shown) == 2 * len(kinds)


def test_a_model_that_never_doubts_is_told_how(tmp_path: Path) -> None:
    save_model(MODEL, tmp_path, SPEECH_ENCODER)
    result = CliRunner().invoke(unsure, ["--model", str(tmp_path)])
    assert result.exit_code == 1
    assert "doubts nothing" in result.output
