"""Tries a recipe's numbers out on each task of the embedded model: what is asked, how it is answered, how it is scored.

Numbers are chosen here, so nothing here is held out: pictures of training combinations, utterances of the training
voices. What the chosen ones are worth is `omni eval quality`'s business.
"""

import itertools
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from runtime.engine.denoising import DenoisingEngine
from runtime.engine.given import Given, GivenImage, GivenText
from runtime.engine.model import OmniModel
from runtime.engine.output import Finished
from runtime.engine.recipe import Recipe
from runtime.engine.request import GenerationRequest, ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.evaluation.answers import answer_all, slot_of
from runtime.evaluation.figures import Figure, share, word_errors
from runtime.evaluation.image_probe import Probe, load_probe
from runtime.evaluation.infill import half, without_words
from runtime.evaluation.picture_checks import judge_pictures
from runtime.evaluation.published.recogniser import Recogniser
from runtime.evaluation.published.transcripts import whisper_normaliser
from runtime.evaluation.report_card import speech_part
from runtime.evaluation.voices import in_silence
from runtime.evaluation.waits import wait_for
from runtime.executors.executor import ForwardItem
from runtime.executors.in_process import InProcessExecutor
from runtime.models.backbone import Backbone
from runtime.training.data.drawings import DRAWN_STYLE, Drawings, load_drawings
from runtime.training.data.fetch import cache_folder
from runtime.training.data.scenes import blank, render
from runtime.training.data.speech import load_utterances
from runtime.training.world import Scene, describe, parse_request, questions, random_scene, request_to_draw


@dataclass(frozen=True)
class Rule:
    """Numbers of a slot that are tried out. `name` is what the curve is called it lies on."""

    name: str
    numbers: Mapping[str, Any]

    def put_into(self, recipe: Recipe, slot_name: str) -> Recipe:
        """The recipe with these numbers in one of its slots, and nothing behind that slot.

        One answer is tried there unless the rule says otherwise: who says how it is filled has it filled so.
        """
        slots = recipe.slots[: 1 + [slot.name for slot in recipe.slots].index(slot_name)]
        numbers = {"hypotheses": 1, **self.numbers}
        slots = tuple(replace(slot, **numbers) if slot.name == slot_name else slot for slot in slots)
        return replace(recipe, slots=slots)


@dataclass(frozen=True)
class Outcome:
    """One rule in one task.

    score: 0 … 1, with 95 % confidence in low … high. num: answers. gflop: of the forward passes of an answer.
    passes: forward passes of an answer, guided ones twice. steps: denoise steps of an answer. wait_s, first_sound_s:
    the median time to the end and to the first sound of an answer that is made alone; None where not measured, or
    where nothing is said.
    """

    task: str
    rule: str
    numbers: Mapping[str, Any]
    score: float
    num: int
    gflop: float
    passes: float
    steps: float
    low: float = 0.0
    high: float = 1.0
    wait_s: float | None = None
    first_sound_s: float | None = None


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


@dataclass(frozen=True)
class Asked:
    """A turn, what the answer ought to be, and what of the answer is given."""

    parts: tuple[Part, ...]
    truth: Any
    given: tuple[Given, ...] = ()


Score = Callable[[Sequence[Finished], Sequence[Any], str], Figure]


@dataclass(frozen=True)
class Task:
    """recipe, slot: what is tried out. ask: makes the questions. score: of the answers, what they ought to be, the
    slot; a share of what is right."""

    recipe: str
    slot: str
    ask: Callable[[], Iterator[Asked]]
    score: Score


class Trial:
    """Runs rules on the same questions. num: answers a rule. recogniser: hears what is said, where that is tried."""

    def __init__(
        self, model: OmniModel, cache: Path | None = None, num: int = 100, recogniser: Recogniser | None = None
    ) -> None:
        self.model, self.cache, self.num, self.recogniser = model, cache or cache_folder(), num, recogniser
        self.tasks: Mapping[str, Task] = {
            "text_to_image": Task("text_to_image", "image", self._wishes, self._things_right),
            "speech_to_image": Task("speech_to_image", "image", self._spoken_wishes, self._things_right),
            "image_to_text": Task("image_to_text", "text", self._questions, texts_right),
            "speech_to_text": Task("speech_to_text", "transcript", self._utterances, words_right),
            "text_to_speech": Task("text_to_speech", "speech", self._sentences, self._understood),
            "infill_text": Task("image_to_text", "text", self._gaps, texts_right),
            "infill_picture": Task("text_to_image", "image", self._halves, self._things_right),
        }

    @cached_property
    def drawings(self) -> Drawings:
        return load_drawings(self.cache)

    @cached_property
    def probe(self) -> Probe:
        return load_probe(self.cache)

    @cached_property
    def scenes(self) -> list[Scene]:
        rng = random.Random(11)
        return [random_scene(rng) for _ in range(self.num)]

    def check(self, names: Iterable[str]) -> None:
        """What the judge of these tasks lacks is said now and not when everything has been drawn."""
        if any(self.tasks[name].slot == "image" for name in names):
            self.probe.recognise([blank((0, 0, 0))])

    def outcome(self, name: str, rule: Rule, alone: int = 0) -> Outcome:
        """alone: answers that are also made one after the other, to see how long one waits."""
        task = self.tasks[name]
        recipe = rule.put_into(self.model.recipes[task.recipe], task.slot)
        asked = list(task.ask())
        requests = [
            GenerationRequest(str(i), (Turn("user", one.parts),), recipe, seed=i, given=one.given)
            for i, one in enumerate(asked)
        ]
        executor = CountingExecutor(self.model.backbone)
        engine = DenoisingEngine(self.model, executor)
        try:
            answers = answer_all(engine, requests)
            num, flop, canvases = len(answers), executor.flop, executor.canvases
            waits = [wait_for(engine, replace(one, request_id=f"alone {i}")) for i, one in enumerate(requests[:alone])]
        finally:
            engine.close()
        found = task.score(answers, [one.truth for one in asked], task.slot)
        return Outcome(
            task=name,
            rule=rule.name,
            numbers=dict(rule.numbers),
            score=found.value,
            num=num,
            gflop=flop / num / 1e9,
            passes=canvases / num,
            steps=sum(answer.steps for answer in answers) / num,
            low=found.low,
            high=found.high,
            wait_s=_median(wait.end_s for wait in waits),
            first_sound_s=_median(wait.first_sound_s for wait in waits),
        )

    # What is asked.

    def _wishes(self) -> Iterator[Asked]:
        rng = random.Random(12)
        return (Asked((TextPart(request_to_draw(scene, rng)),), scene) for scene in self.scenes)

    def _spoken_wishes(self) -> Iterator[Asked]:
        utterances = load_utterances("train", self.cache)
        random.Random(16).shuffle(utterances)
        spoken = [(said, scene) for said in utterances if (scene := parse_request(said.text)) is not None]
        return (Asked((speech_part(said),), scene) for said, scene in spoken[: self.num])

    def _questions(self) -> Iterator[Asked]:
        rng = random.Random(13)
        for scene in self.scenes:
            question = rng.choice(questions(scene, rng))
            yield Asked((self._picture(scene), TextPart(question.text)), question.answer)

    def _utterances(self) -> Iterator[Asked]:
        chosen = random.Random(14).sample(load_utterances("train", self.cache), self.num)
        return (Asked((speech_part(said),), said.text) for said in chosen)

    def _sentences(self) -> Iterator[Asked]:
        rng = random.Random(15)
        return (Asked((TextPart(text := describe(scene, rng)),), text) for scene in self.scenes)

    def _gaps(self) -> Iterator[Asked]:
        """Captions without their colours and numbers."""
        for scene in self.scenes:
            given = GivenText("text", without_words(scene.caption))
            yield Asked((self._picture(scene), TextPart("what do you see?")), scene.caption, (given,))

    def _halves(self) -> Iterator[Asked]:
        rng = random.Random(17)
        for scene in self._single_things(rng):
            given = GivenImage("image", self._picture(scene).pixels, half(rng))
            yield Asked((TextPart(request_to_draw(scene, rng)),), scene, (given,))

    def _single_things(self, rng: random.Random) -> Iterator[Scene]:
        scenes = iter(lambda: random_scene(rng), None)
        return itertools.islice((scene for scene in scenes if scene.layout == "single"), self.num)

    def _picture(self, scene: Scene) -> ImagePart:
        return ImagePart(render(scene, self.drawings, DRAWN_STYLE))

    # How it is scored.

    def _things_right(self, answers: Sequence[Finished], scenes: Sequence[Scene], slot: str) -> Figure:
        """Share of the things asked for that the probe recognises."""
        pictures = [picture for answer in answers if (picture := slot_of(answer, slot).image) is not None]
        verdicts = judge_pictures(scenes, pictures, self.probe)
        return share("things", [right for verdict in verdicts for right in verdict.things])

    def _understood(self, answers: Sequence[Finished], truths: Sequence[str], slot: str) -> Figure:
        """Share of words that the recogniser understands."""
        assert self.recogniser is not None
        normalise, sounds = whisper_normaliser(), [slot_of(answer, slot).speech for answer in answers]
        said = [in_silence(SpeechPart(sound.pcm, sound.sample_rate_hz)) for sound in sounds if sound is not None]
        heard = [normalise(self.recogniser.write_down(speech)) for speech in said]
        return _right(zip(map(normalise, truths), heard, strict=True))


def texts_right(answers: Sequence[Finished], truths: Sequence[str], slot: str) -> Figure:
    """Share that is right to the letter."""
    return share("texts", [slot_of(a, slot).text == truth for a, truth in zip(answers, truths, strict=True)])


def words_right(answers: Sequence[Finished], truths: Sequence[str], slot: str) -> Figure:
    return _right(zip(truths, [slot_of(answer, slot).text or "" for answer in answers], strict=True))


def _right(pairs: Iterator[tuple[str, str]]) -> Figure:
    """Share of words that is right: 1 minus the word error rate, no less than 0. pairs: said and heard."""
    errors = word_errors("words", list(pairs))
    value, low, high = (max(0.0, 1 - rate) for rate in (errors.value, errors.high, errors.low))
    return Figure("words", value, errors.num, low, high)


def _median(seconds: Iterator[float | None]) -> float | None:
    known = [each for each in seconds if each is not None]
    return statistics.median(known) if known else None
