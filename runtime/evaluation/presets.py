"""What steps buy: each task by many commit rules, its score beside its cost; `omni eval presets`.

Presets are chosen here, so nothing here is held out: pictures of training combinations, utterances of the training
voices. What the chosen presets are worth is `omni eval quality`'s business.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.model import EMBEDDED, OmniModel, load_model
from runtime.engine.output import Finished
from runtime.engine.recipe import Recipe
from runtime.engine.request import GenerationRequest, ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.evaluation.answers import answer_all, slot_of
from runtime.evaluation.image_probe import load_probe
from runtime.evaluation.judges import recogniser_of
from runtime.evaluation.picture_checks import judge_pictures
from runtime.evaluation.published.errors import SetupError
from runtime.evaluation.published.recogniser import Recogniser
from runtime.evaluation.published.transcripts import whisper_normaliser
from runtime.evaluation.report_card import speech_part
from runtime.evaluation.voices import in_silence
from runtime.evaluation.word_errors import word_error_rate
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor
from runtime.models.backbone import Backbone
from runtime.training.data.drawings import DRAWN_STYLE, load_drawings
from runtime.training.data.fetch import FetchError, cache_folder
from runtime.training.data.scenes import blank, render
from runtime.training.data.speech import load_utterances
from runtime.training.world import Scene, describe, questions, random_scene, request_to_draw

MOST_LOST = 0.01  # of the score of one token a step that a preset may lose


@dataclass(frozen=True)
class Rule:
    """Numbers of a slot that are tried out. `name` is what the curve is called it lies on."""

    name: str
    numbers: Mapping[str, Any]

    def put_into(self, recipe: Recipe, slot_name: str) -> Recipe:
        """The recipe with these numbers in one of its slots, and nothing behind that slot."""
        slots = recipe.slots[: 1 + [slot.name for slot in recipe.slots].index(slot_name)]
        slots = tuple(replace(slot, **self.numbers) if slot.name == slot_name else slot for slot in slots)
        return replace(recipe, slots=slots)


def _rules(length: int, steps: Sequence[int], **common: Any) -> tuple[Rule, ...]:
    """One token a step first, the schedule with fewer steps, and the rules that fill more where they are sure."""
    plain = {"commit": "schedule", **common}  # whatever the recipe has
    few = tuple(Rule("schedule", {"steps": n, **plain}) for n in steps)
    bounds = {"threshold": (0.5, 0.7, 0.9), "entropy_bound": (0.1, 0.5, 2.0), "certain_answer": (0.3, 0.6, 0.9)}
    ruled = tuple(
        Rule(rule, {"steps": length, "commit": rule, "commit_bound": bound, **common})
        for rule, some in bounds.items()
        for bound in some
    )
    return (Rule("one a step", {"steps": length, "schedule": "linear", **plain}), *few, *ruled)


@dataclass(frozen=True)
class Outcome:
    """One rule in one task.

    score: 0 … 1. gflop: of the forward passes of an
    answer. passes: forward passes of an answer, guided ones twice.
    """

    task: str
    rule: str
    numbers: Mapping[str, Any]
    score: float
    num: int
    gflop: float
    passes: float
    steps: float


class CountingExecutor(InProcessExecutor):
    """Counts the floating-point operations of its passes, and the passes by canvas."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone, "float32")
        self.flop, self.canvases = 0, 0
        self._known: dict[tuple[int, ...], int] = {}  # by shape, since counting is slower than computing

    def forward(self, items: Sequence[ForwardItem]) -> list[Tensor]:
        scores: list[Tensor] = []
        for item in items:
            shape = (len(item.canvas), len(item.rows), *item.vocabulary)
            if shape in self._known:
                scores += super().forward([item])
            else:
                with FlopCounterMode(display=False) as counter:
                    scores += super().forward([item])
                self._known[shape] = int(counter.get_total_flops())
            self.flop += self._known[shape]
        self.canvases += len(items)
        return scores


Ask = Callable[[], list[tuple[tuple[Part, ...], Any]]]
Score = Callable[[Sequence[Finished], Sequence[Any], str], float]


class Trial:
    """Runs rules on the same questions. num: answers a rule. recogniser: hears what is said, where that is tried."""

    def __init__(self, model: OmniModel, cache: Path, num: int, recogniser: Recogniser | None = None) -> None:
        self.model, self.cache, self.num, self._recogniser = model, cache, num, recogniser
        self.drawings, self.probe = load_drawings(cache), load_probe(cache)
        self.probe.recognise([blank((0, 0, 0))])  # what it lacks is said now and not when everything has been drawn
        rng = random.Random(11)
        self.scenes: list[Scene] = [random_scene(rng) for _ in range(num)]

    def outcome(self, task: str, rule: Rule) -> Outcome:
        slot, ask, score = self._parts_of(task)
        recipe = rule.put_into(self.model.recipes[task], slot)
        executor = CountingExecutor(self.model.backbone)
        engine = DenoisingEngine(self.model, executor)
        turns = ask()
        try:
            answers = answer_all(
                engine,
                [
                    GenerationRequest(str(i), (Turn("user", parts),), recipe, seed=i)
                    for i, (parts, _) in enumerate(turns)
                ],
            )
        finally:
            engine.close()
        num, found = len(answers), score(answers, [truth for _, truth in turns], slot)
        return Outcome(
            task=task,
            rule=rule.name,
            numbers=dict(rule.numbers),
            score=found,
            num=num,
            gflop=executor.flop / num / 1e9,
            passes=executor.canvases / num,
            steps=sum(answer.steps for answer in answers) / num,
        )

    def _parts_of(self, task: str) -> tuple[str, Ask, Score]:
        """The slot that is tried out, what is asked, and how the answers are scored."""
        if task == "text_to_image":
            return "image", self._wishes, self._score_pictures
        if task == "image_to_text":
            return "text", self._questions, self._score_replies
        if task == "text_to_speech":
            return "speech", self._sentences, self._score_speech
        return "transcript", self._utterances, self._score_transcripts

    def _wishes(self) -> list[tuple[tuple[Part, ...], Any]]:
        rng = random.Random(12)
        return [((TextPart(request_to_draw(scene, rng)),), scene) for scene in self.scenes]

    def _score_pictures(self, answers: Sequence[Finished], scenes: Sequence[Scene], slot: str) -> float:
        """Share of the things asked for that the probe recognises."""
        pictures = [picture for answer in answers if (picture := slot_of(answer, slot).image) is not None]
        verdicts = judge_pictures(scenes, pictures, self.probe)
        rights = [right for verdict in verdicts for right in verdict.things]
        return sum(rights) / len(rights)

    def _questions(self) -> list[tuple[tuple[Part, ...], Any]]:
        rng = random.Random(13)
        asked: list[tuple[tuple[Part, ...], Any]] = []
        for scene in self.scenes:
            question = rng.choice(questions(scene, rng))
            parts = (ImagePart(render(scene, self.drawings, DRAWN_STYLE)), TextPart(question.text))
            asked.append((parts, question.answer))
        return asked

    def _score_replies(self, answers: Sequence[Finished], truths: Sequence[str], slot: str) -> float:
        """Share that is right to the letter."""
        return sum(slot_of(a, slot).text == truth for a, truth in zip(answers, truths, strict=True)) / len(truths)

    def _utterances(self) -> list[tuple[tuple[Part, ...], Any]]:
        chosen = random.Random(14).sample(load_utterances("train", self.cache), self.num)
        return [((speech_part(utterance),), utterance.text) for utterance in chosen]

    def _score_transcripts(self, answers: Sequence[Finished], truths: Sequence[str], slot: str) -> float:
        return _words_right(truths, [slot_of(answer, slot).text or "" for answer in answers])

    def _sentences(self) -> list[tuple[tuple[Part, ...], Any]]:
        rng = random.Random(15)
        return [((TextPart(text := describe(scene, rng)),), text) for scene in self.scenes]

    def _score_speech(self, answers: Sequence[Finished], truths: Sequence[str], slot: str) -> float:
        """Share of words that the recogniser understands."""
        assert self._recogniser is not None
        normalise, sounds = whisper_normaliser(), [slot_of(answer, slot).speech for answer in answers]
        said = [in_silence(SpeechPart(sound.pcm, sound.sample_rate_hz)) for sound in sounds if sound is not None]
        heard = [normalise(self._recogniser.write_down(speech)) for speech in said]
        return _words_right([normalise(truth) for truth in truths], heard)


def _words_right(truths: Sequence[str], heard: Sequence[str]) -> float:
    """Share of words that is right: 1 minus the word error rate, no less than 0."""
    return max(0.0, 1 - word_error_rate(zip(truths, heard, strict=True)))


TEXT_RULES = _rules(16, (1, 2, 4, 8))
SPEECH_RULES = tuple(Rule("schedule", {"steps": n}) for n in (48, 1, 2, 4, 8, 12, 24))  # the most first
RULES: Mapping[str, tuple[Rule, ...]] = {
    "text_to_image": _rules(100, (4, 6, 8, 12, 16, 24, 48)),
    "image_to_text": TEXT_RULES,
    "speech_to_text": TEXT_RULES,
    "text_to_speech": SPEECH_RULES,
}


def best_of(outcomes: Sequence[Outcome]) -> Outcome:
    """The cheapest of one task that loses no more than it may; the first is what they are compared with."""
    enough = (1 - MOST_LOST) * outcomes[0].score
    return min((one for one in outcomes if one.score >= enough), key=lambda one: one.gflop)


def plot(outcomes: Mapping[str, Sequence[Outcome]], path: Path) -> None:
    """A panel a task: score over cost, a line a rule."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(outcomes), figsize=(4.6 * len(outcomes), 3.6), squeeze=False)
    for axis, (task, found) in zip(axes[0], outcomes.items(), strict=True):
        for name in dict.fromkeys(one.rule for one in found):
            own = sorted((one for one in found if one.rule == name), key=lambda one: one.gflop)
            axis.plot([one.gflop for one in own], [one.score for one in own], marker="o", ms=4, label=name)
        chosen = best_of(found)
        axis.scatter([chosen.gflop], [chosen.score], s=120, facecolors="none", edgecolors="black", label="chosen")
        axis.set(xscale="log", xlabel="GFLOP an answer", ylabel="score", ylim=(0, 1), title=task.replace("_", " "))
        axis.minorticks_off()
    axes[0][0].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


def as_table(outcomes: Mapping[str, Sequence[Outcome]]) -> str:
    """Markdown, the chosen rule of each task in bold."""
    lines = ["| task | rule | numbers | score | n | GFLOP an answer | passes |", "|---|---|---|---|---|---|---|"]
    for task, found in outcomes.items():
        chosen = best_of(found)
        for one in found:
            numbers = ", ".join(f"{name} {value}" for name, value in one.numbers.items() if name != "commit")
            rule = f"**{one.rule}**" if one is chosen else one.rule
            lines.append(
                f"| {task} | {rule} | {numbers} | {one.score:.1%} | {one.num} | {one.gflop:.2f} | {one.passes:.1f} |"
            )
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Kept:
    """What was measured before."""

    outcomes: tuple[Outcome, ...] = ()

    def of(self, task: str, rule: Rule, num: int) -> Outcome | None:
        wanted = (task, rule.name, dict(rule.numbers), num)
        return next((one for one in self.outcomes if (one.task, one.rule, one.numbers, one.num) == wanted), None)


def read_outcomes(path: Path | None) -> Kept:
    """Of a file that was not finished; of none at all nothing."""
    if path is None or not path.exists():
        return Kept()
    of_tasks: dict[str, list[dict[str, Any]]] = json.loads(path.read_text(encoding="utf-8"))
    return Kept(tuple(Outcome(**one) for of_task in of_tasks.values() for one in of_task))


def write_outcomes(outcomes: Mapping[str, Sequence[Outcome]], path: Path | None) -> None:
    if path is not None:
        found = {task: [asdict(one) for one in of_task] for task, of_task in outcomes.items()}
        path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


@click.command("presets")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="a model folder; default: the embedded model")
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--num", default=100, show_default=True, help="answers a rule")
@click.option("--task", "tasks", multiple=True, type=click.Choice(list(RULES)), help="only these tasks")
@click.option("--threads", default=1, show_default=True)
@click.option("--plot", "plot_file", type=click.Path(path_type=Path), help="draw the curves here (PNG)")
@click.option("--table", "table_file", type=click.Path(path_type=Path), help="write the table here (Markdown)")
@click.option(
    "--json",
    "json_file",
    type=click.Path(path_type=Path),
    help="also write the figures here, one by one; those that are here already are not measured again",
)
def presets(
    folder: Path | None,
    cache: Path,
    num: int,
    tasks: tuple[str, ...],
    threads: int,
    plot_file: Path | None,
    table_file: Path | None,
    json_file: Path | None,
) -> None:
    """Measure what each commit rule costs and what it loses."""
    torch.set_num_threads(threads)
    model = load_model(folder or EMBEDDED)
    chosen = tasks or [task for task in RULES if task in model.recipes]
    try:  # what is lacking is said now and not when everything else has been measured
        recogniser = recogniser_of("tiny.en", cache) if "text_to_speech" in chosen else None
    except (SetupError, FetchError) as error:
        raise click.ClickException(f"{error}; or leave speech out with --task") from error
    trial = Trial(model, cache, num, recogniser)
    kept = read_outcomes(json_file)
    outcomes: dict[str, list[Outcome]] = {}
    for task in chosen:
        for rule in RULES[task]:
            one = kept.of(task, rule, num) or trial.outcome(task, rule)
            outcomes.setdefault(task, []).append(one)
            write_outcomes(outcomes, json_file)
            click.echo(f"{task:<16} {rule.name:<16} {rule.numbers}  {one.score:.1%}  {one.gflop:.2f} GFLOP")
    table = as_table(outcomes)
    click.echo(table)
    if table_file is not None:
        table_file.write_text(table, encoding="utf-8")
    if plot_file is not None:
        plot(outcomes, plot_file)
