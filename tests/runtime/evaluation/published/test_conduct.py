import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from runtime.engine.engine import Engine
from runtime.engine.model import OmniModel
from runtime.engine.recipe import Recipe
from runtime.engine.request import TextPart
from runtime.evaluation.published import conduct
from runtime.evaluation.published.answer_log import Row
from runtime.evaluation.published.conduct import Answers, Benchmark, finish, recipe_of, run
from runtime.evaluation.published.errors import SetupError
from runtime.evaluation.published.measures import Measure
from runtime.evaluation.published.options import Options
from runtime.evaluation.published.run import Task
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tiny_model import tiny_model


@dataclass(frozen=True)
class Word:
    id: str


class Said(Row, frozen=True, kw_only=True):
    text: str


BENCHMARK: Benchmark[Word, Said] = Benchmark(
    name="words",
    modality="text",
    recipes=("reply", "image_to_text"),
    items=[Word("a"), Word("b")],
    task=Task(
        ask=lambda word: (TextPart(word.id),),
        keep=lambda word, answer, seconds: Said(id=word.id, text=answer.text, seconds=seconds, error=answer.error),
    ),
    row_type=Said,
)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> ScriptedEngine:
    """Stands in for the tiny model's own."""
    engine = ScriptedEngine()

    @contextmanager
    def started(path: Path, canvas_positions: int) -> Iterator[tuple[OmniModel, Engine]]:
        yield tiny_model(), engine

    monkeypatch.setattr(conduct, "started", started)
    return engine


@pytest.fixture
def options(tmp_path: Path) -> Options:
    return Options(
        data=tmp_path,
        model=tmp_path,
        recipe_name=None,
        length=None,
        steps=None,
        limit=None,
        seed=0,
        in_flight=2,
        canvas_positions=512,
        keep_going=False,
        out=tmp_path / "out",
        json_file=None,
    )


def test_what_was_answered_is_not_asked_again(engine: ScriptedEngine, options: Options) -> None:
    first = run(options, replace(BENCHMARK, items=[Word("b")]))
    assert [row.text for row in first.rows] == ["here it is"]
    answers = run(options, BENCHMARK)
    assert [row.id for row in answers.rows] == ["a", "b"]
    assert [request.request_id for request in engine.submitted] == ["b", "a"]
    assert engine.submitted[0].recipe.name == "image_to_text"


def test_other_answers_are_not_mixed_in(engine: ScriptedEngine, options: Options) -> None:
    run(options, BENCHMARK)
    with pytest.raises(SetupError, match="seed 0, now 1"):
        run(replace(options, seed=1), BENCHMARK)
    with pytest.raises(SetupError, match=r"'steps': 4.*now.*'steps': 3"):
        run(replace(options, steps=3), BENCHMARK)


def test_the_recipe_of_the_benchmark_the_one_asked_for_and_none(options: Options) -> None:
    model = tiny_model()
    assert recipe_of(options, BENCHMARK, model).name == "image_to_text"
    other = replace(options, recipe_name="speech_to_text", length=8, steps=2)
    (slot,) = recipe_of(other, BENCHMARK, model).slots
    assert (slot.name, slot.length, slot.steps) == ("transcript", 8, 2)
    with pytest.raises(SetupError, match="'text_to_image' makes no speech, which words needs"):
        recipe_of(replace(options, recipe_name="text_to_image"), replace(BENCHMARK, modality="speech"), model)


def test_what_a_benchmark_changes_gives_way_to_options(options: Options) -> None:
    def longer(recipe: Recipe) -> Recipe:
        return replace(recipe, slots=(replace(recipe.slots[0], length=64, steps=32),))

    benchmark, model = replace(BENCHMARK, prepare=longer), tiny_model()
    assert recipe_of(options, benchmark, model).slots[0].length == 64
    assert recipe_of(replace(options, length=8), benchmark, model).slots[0].length == 8


def test_the_report_is_printed_and_written(
    options: Options, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"task": "words", "model": "tiny", "recipe": {"name": "reply"}, "seed": 4}
    rows = [Said(id="a", text="x", seconds=1.5), Said(id="b", text="", seconds=0.5, error="too long")]
    finish(
        replace(options, json_file=tmp_path / "copy.json"), Answers(rows, settings), [Measure("m", 0.5, 2)], judge="j"
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert json.loads((tmp_path / "copy.json").read_text()) == report
    assert (report["num"], report["seconds"], report["seed"], report["recipe"]) == (2, 2.0, 4, "reply")
    assert report["settings"] == {**settings, "judge": "j"}
    assert [(measure["name"], measure["value"]) for measure in report["measures"]] == [("m", 0.5), ("failed", 0.5)]
    assert "failed" in capsys.readouterr().out
