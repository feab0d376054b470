"""How good the embedded model is, on combinations, voices and a drawing style it never saw: `omni eval`.

Every figure comes with the number of answers, a 95 % interval, what chance would give and, where a judge is involved,
what the judge says of real pictures (its ceiling).
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import get_args

import click
import numpy as np
from PIL import Image

from runtime.codecs.image import ImageCodec
from runtime.engine.engine import Engine
from runtime.engine.given import Given
from runtime.engine.model import OmniModel
from runtime.engine.output import Finished
from runtime.engine.request import GenerationRequest, ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.evaluation.answers import answer_all, slot_of
from runtime.evaluation.figures import Figure, share, word_errors, write_figures
from runtime.evaluation.follow_ups import follow_up, follow_up_in_conversation
from runtime.evaluation.image_probe import load_probe
from runtime.evaluation.infill import infill_picture, infill_text
from runtime.evaluation.opened import cache_option, json_option, model_option, opened
from runtime.evaluation.outside_world import outside
from runtime.evaluation.picture_checks import Verdict, judge_pictures, summarise
from runtime.evaluation.spoken_questions import spoken_questions
from runtime.training.data.drawings import Drawings, Pixels, load_drawings
from runtime.training.data.scenes import render
from runtime.training.data.speech import SAMPLE_RATE, Utterance, load_utterances
from runtime.training.world import (
    BACKGROUNDS,
    NUMBERS,
    THINGS,
    Question,
    QuestionKind,
    Scene,
    parse_request,
    questions,
    random_scene,
    request_to_draw,
)

DRAWN_STYLE, UNSEEN_STYLE = "twemoji", "openmoji"
LAYOUT_NAMES = ("things", "things_single", "things_multiple", "background", "count", "relation")
A_NUMBER = 1 / len(NUMBERS[1:])
CHANCE = {"background": 1 / len(BACKGROUNDS), "count": A_NUMBER, "relation": len(THINGS) ** -2} | {
    name: 1 / len(THINGS) for name in ("things", "things_single", "things_multiple")
}
CHANCE_OF_REPLY: dict[QuestionKind, float] = {
    "what": 1 / len(THINGS),
    "where": 1 / len(THINGS),
    "background": 1 / len(BACKGROUNDS),
    "how many": A_NUMBER,
    "yes or no": 1 / 2,
}


class ReportCard:
    """Measures one model through one engine."""

    def __init__(self, model: OmniModel, engine: Engine, cache: Path, num: int, sheet: Path | None = None) -> None:
        self.model, self.engine, self.cache, self.num, self.sheet = model, engine, cache, num, sheet
        self.drawings: Drawings = load_drawings(cache)
        self.probe = load_probe(cache)
        self.figures: list[Figure] = []

    def measure(self, tasks: Sequence[str]) -> list[Figure]:
        for task in tasks:
            TASKS[task](self)
        return self.figures

    def add(self, figure: Figure) -> None:
        print(figure, flush=True)
        self.figures.append(figure)

    def ask(
        self, recipe: str, parts: Sequence[tuple[Part, ...]], given: Sequence[Sequence[Given]] = ()
    ) -> list[Finished]:
        """One answer for each user turn. given: what stands in each from the beginning."""
        return answer_all(
            self.engine,
            [
                GenerationRequest(
                    f"{recipe}-{i}",
                    (Turn("user", turn),),
                    self.model.recipes[recipe],
                    seed=i,
                    given=tuple(given[i]) if given else (),
                )
                for i, turn in enumerate(parts)
            ],
        )

    def scenes(self, num: int) -> list[Scene]:
        rng = random.Random(2)
        return [random_scene(rng, held_out=True) for _ in range(num)]

    def judge_answers(self, name: str, scenes: Sequence[Scene], answers: Sequence[Finished]) -> None:
        pictures = [slot_of(answer, "image").image for answer in answers]
        self.judge(name, scenes, [picture for picture in pictures if picture is not None])

    def judge(self, name: str, scenes: Sequence[Scene], drawn: Sequence[Pixels]) -> None:
        """Pictures against the scenes they should show, beside the same judge on real pictures of those scenes."""
        real = [render(scene, self.drawings, DRAWN_STYLE) for scene in scenes]
        ceiling = summarise(judge_pictures(scenes, real, self.probe))
        verdicts = judge_pictures(scenes, drawn, self.probe)
        for kind in LAYOUT_NAMES:
            rights = [right for verdict in verdicts for right in rights_of(verdict, kind)]
            if rights:
                self.add(share(f"{name}: {kind}", rights, ceiling=ceiling[kind], chance=CHANCE.get(kind)))
        if self.sheet is not None:
            save_sheet(real[:24], drawn[:24], self.sheet / f"{name.replace(' ', '_')}.png")

    def reconstruction(self) -> None:
        """Real pictures through the image tokenizer and back: what is drawn cannot be judged better than that."""
        scenes, codec = self.scenes(self.num), ImageCodec(self.model.image_tokenizer, self.model.image_size_px)
        real = [render(scene, self.drawings, DRAWN_STYLE) for scene in scenes]
        self.judge("reconstruction", scenes, [codec.decode(codec.encode(picture)) for picture in real])

    def text_to_image(self) -> None:
        scenes, rng = self.scenes(self.num), random.Random(3)
        answers = self.ask("text_to_image", [(TextPart(request_to_draw(scene, rng)),) for scene in scenes])
        self.judge_answers("text to image", scenes, answers)

    def speech_to_image(self) -> None:
        spoken = [
            (utterance, scene)
            for utterance in load_utterances("test_held_out_voices", self.cache)
            if (scene := parse_request(utterance.text)) is not None
        ][: self.num]
        answers = self.ask("speech_to_image", [(speech_part(utterance),) for utterance, _ in spoken])
        self.judge_answers("speech to image", [scene for _, scene in spoken], answers)

    def speech_to_text(self) -> None:
        for name, split in (("held-out", "test_held_out_voices"), ("known", "test_known_voice")):
            utterances = load_utterances(split, self.cache)[: self.num]  # type: ignore[arg-type]
            answers = self.ask("speech_to_text", [(speech_part(utterance),) for utterance in utterances])
            heard = [slot_of(answer, "transcript").text or "" for answer in answers]
            pairs = [(utterance.text, text) for utterance, text in zip(utterances, heard, strict=True)]
            self.add(word_errors(f"speech to text, {name} voices: word errors", pairs))

    def image_to_text(self) -> None:
        """Every kind of question about half as many scenes as there are answers wanted."""
        for name, style in (("drawn style", DRAWN_STYLE), ("unseen style", UNSEEN_STYLE)):
            asked = questions_of_each_kind(self.num // 2, random.Random(4))
            pictures = [render(scene, self.drawings, style) for _, scene in asked]
            parts = [
                (ImagePart(picture), TextPart(question.text))
                for (question, _), picture in zip(asked, pictures, strict=True)
            ]
            rights: dict[QuestionKind, list[bool]] = {}
            for (question, _), answer in zip(asked, self.ask("image_to_text", parts), strict=True):
                rights.setdefault(question.about, []).append(slot_of(answer, "text").text == question.answer)
            shown = [
                (scene, picture)
                for (question, scene), picture in zip(asked, pictures, strict=True)
                if question.about == "what"
            ]
            ceilings = {"what": self.recognised(*zip(*shown, strict=True))}
            for about, found in sorted(rights.items()):
                beside = {"ceiling": ceilings.get(about), "chance": CHANCE_OF_REPLY.get(about)}
                self.add(share(f"image to text, {name}: {about}", found, **beside))

    def recognised(self, scenes: Sequence[Scene], pictures: Sequence[Pixels]) -> float:
        """The share of things that the judge of pictures knows in them."""
        verdicts = judge_pictures(scenes, pictures, self.probe)
        return fmean(right for verdict in verdicts for right in verdict.things)


def questions_of_each_kind(num: int, rng: random.Random) -> list[tuple[Question, Scene]]:
    """`num` questions of every kind, each about a held-out scene of its own."""
    found: list[tuple[Question, Scene]] = []
    missing = dict.fromkeys(get_args(QuestionKind), num)
    while any(missing.values()):
        scene = random_scene(rng, held_out=True)
        for about in missing:
            of_kind = [question for question in questions(scene, rng) if question.about == about]
            if of_kind and missing[about]:
                found.append((rng.choice(of_kind), scene))
                missing[about] -= 1
    return found


TASKS: dict[str, Callable[[ReportCard], None]] = {
    "reconstruction": ReportCard.reconstruction,
    "text_to_image": ReportCard.text_to_image,
    "speech_to_image": ReportCard.speech_to_image,
    "speech_to_text": ReportCard.speech_to_text,
    "image_to_text": ReportCard.image_to_text,
    "spoken_questions": spoken_questions,
    "follow_up": follow_up,
    "follow_up_in_conversation": follow_up_in_conversation,
    "infill_text": infill_text,
    "infill_picture": infill_picture,
    "outside": outside,
}


def rights_of(verdict: Verdict, kind: str) -> list[bool]:
    """What one picture adds to a measure."""
    if kind.startswith("things"):
        wanted = {"things_single": verdict.layout == "single", "things_multiple": verdict.layout != "single"}
        return list(verdict.things) if wanted.get(kind, True) else []
    right = getattr(verdict, kind)
    return [] if right is None else [right]


def speech_part(utterance: Utterance) -> SpeechPart:
    return SpeechPart(utterance.pcm, SAMPLE_RATE)


def save_sheet(real: Sequence[np.ndarray], made: Sequence[np.ndarray], path: Path) -> None:
    """Rows of twelve: what a person drew above what the model made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for start in range(0, len(made) // 12 * 12, 12):
        rows += [np.concatenate(list(pictures[start : start + 12]), 1) for pictures in (real, made)]
    if rows:
        Image.fromarray(np.concatenate(rows)).save(path)


@click.command("quality")
@model_option
@cache_option
@click.option("--num", default=100, show_default=True, help="answers a measure")
@click.option("--task", "tasks", multiple=True, type=click.Choice(list(TASKS)), help="only these tasks")
@click.option("--sheet", type=click.Path(path_type=Path), help="folder for sample sheets")
@json_option
def quality(
    folder: Path | None, cache: Path, num: int, tasks: tuple[str, ...], sheet: Path | None, json_file: Path | None
) -> None:
    """Measure the embedded model's answers."""
    with opened(folder) as (model, engine):
        figures = ReportCard(model, engine, cache, num, sheet).measure(tasks or list(TASKS))
    write_figures(figures, json_file)
