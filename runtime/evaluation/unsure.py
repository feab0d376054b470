"""How sure of an answer a model must be: what margins of `unsure` in the model file catch and cost; `omni eval unsure`.

A margin is chosen here, so nothing here is held out: things that were shown as unknown in training, and pictures of
training combinations, as they are drawn and looser.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import msgspec
import torch

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import EMBEDDED, OmniModel, doubting, load_model
from runtime.engine.request import GenerationRequest, ImagePart, TextPart, Turn
from runtime.evaluation.answers import answer_all, slot_of
from runtime.evaluation.figures import Figure, share, write_figures
from runtime.evaluation.opened import cache_option, json_option, model_option
from runtime.executors.in_process import InProcessExecutor
from runtime.training.data.drawings import DRAWN_STYLE, Drawings, Pixels, load_drawings
from runtime.training.data.scenes import render
from runtime.training.data.varied import varied
from runtime.training.outside import other_things
from runtime.training.pictures import other_pictures
from runtime.training.world import Question, QuestionKind, Scene, questions, random_scene

MARGINS = (-9.0, 0.0, 0.2, 0.35, 0.5)  # the first is never reached: no answer is doubted
ASKED: tuple[QuestionKind, ...] = ("what", "where", "how many", "background")


@dataclass(frozen=True)
class Shown:
    """A picture and what is asked about it. kind: of which figure it is a part."""

    kind: str
    picture: Pixels
    question: Question


def unknown_things(cache: Path, num: int, says: str) -> Iterator[Shown]:
    """`num` things at most, in two styles."""
    names = random.Random(21).sample(other_things(), min(num, len(other_things())))
    for style in ("twemoji", "fluent"):
        for picture in other_pictures(cache, names, (style,), each=1):
            yield Shown(f"unknown, {style}", picture, Question("what", "what is this?", says))


def known_scenes(drawings: Drawings, num: int) -> Iterator[Shown]:
    """`num` questions of each kind, about pictures as they are drawn and about looser ones."""
    rng = random.Random(22)
    ways: dict[str, Callable[[Scene], Pixels]] = {
        "known": lambda scene: render(scene, drawings, DRAWN_STYLE),
        "known, looser": lambda scene: varied(scene, drawings, DRAWN_STYLE, rng),
    }
    for way, paint in ways.items():
        for about in ASKED:
            for scene, question in _asked(about, num, rng):
                yield Shown(f"{way}: {about}", paint(scene), question)


def _asked(about: QuestionKind, num: int, rng: random.Random) -> Iterator[tuple[Scene, Question]]:
    while num:
        scene = random_scene(rng)
        found = [question for question in questions(scene, rng) if question.about == about]
        if found:
            num -= 1
            yield scene, rng.choice(found)


def shares_right(model: OmniModel, shown: Sequence[Shown], name: str) -> list[Figure]:
    """Of each kind. name: stands before it."""
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    recipe = model.recipes["image_to_text"]
    requests = [
        GenerationRequest(
            str(i), (Turn("user", (ImagePart(one.picture), TextPart(one.question.text))),), recipe, seed=i
        )
        for i, one in enumerate(shown)
    ]
    try:
        answers = answer_all(engine, requests)
    finally:
        engine.close()
    rights: dict[str, list[bool]] = {}
    for one, answer in zip(shown, answers, strict=True):
        rights.setdefault(one.kind, []).append(slot_of(answer, "text").text == one.question.answer)
    return [share(f"{name}, {kind}", found) for kind, found in rights.items()]


@click.command("unsure")
@model_option
@cache_option
@click.option("--num", default=100, show_default=True, help="pictures of a kind")
@click.option("--margin", "margins", multiple=True, type=float, default=MARGINS, show_default=True, help="nats a token")
@json_option
def unsure(folder: Path | None, cache: Path, num: int, margins: tuple[float, ...], json_file: Path | None) -> None:
    """What it catches and costs to doubt answers about pictures."""
    torch.set_num_threads(1)
    model = load_model(folder or EMBEDDED)
    if model.unsure is None:
        raise click.ClickException(
            f"model {model.name!r} doubts nothing; say what it says then: `unsure` in its model file"
        )
    shown = [*unknown_things(cache, num, model.unsure.says), *known_scenes(load_drawings(cache), num)]
    figures = []
    for margin in margins:
        doubt = replace(model, recipes=doubting(model.recipes, msgspec.structs.replace(model.unsure, margin=margin)))
        for figure in shares_right(doubt, shown, f"margin {margin:g}"):
            click.echo(figure)
            figures.append(figure)
    write_figures(figures, json_file)
