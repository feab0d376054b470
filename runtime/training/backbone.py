"""Train the backbone: `python -m runtime.training.backbone pictures`, then `… spoken`, `… talking`, `… reading`.

Stage "pictures" learns to draw and to read, from nothing or on top of an unpacked model; "spoken" goes on from it
with ears and a voice; "talking" goes on mostly with spoken requests and with questions; "reading" goes on with all, and
names what stands in each cell of the pictures it reads. Every sample is a whole canvas of some recipe, laid out as it
will be served, with one masking ratio a slot (a picture hidden entirely is common).
"""

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import END_OF_SPEECH, END_OF_TEXT, Vocabulary
from runtime.diffusion.batch import Batch
from runtime.diffusion.canvas import Canvas, Slot
from runtime.engine.narration import Narration, narrated, words_of_prompt
from runtime.engine.prompt import NOTHING_SAID, Content, EncodedImage, EncodedSpeech, EncodedTurn, lay_out
from runtime.engine.recipe import PROMPT, SPEAKING_RECIPES, TEXT_LENGTH, Recipe
from runtime.models.backbone import Backbone, BackboneConfig, padding_bias
from runtime.training.cells import (
    NOT_NAMED,
    PREFIX,
    CellReader,
    cell_loss,
    hidden_and_middle,
    things_in_cells,
    without_reader,
)
from runtime.training.cells import WEIGHT as CELLS_WEIGHT
from runtime.training.data.fetch import cache_folder
from runtime.training.digits import SharedDigits, digits_of
from runtime.training.growth import grown
from runtime.training.heard import HeardUtterance, load_heard
from runtime.training.image_tokenizer import CONFIG as IMAGE_CONFIG
from runtime.training.muon import Muon
from runtime.training.outside import UNKNOWN, other_things, small_talk
from runtime.training.pictures import DRAWN_STYLE, READ_KINDS, READ_STYLES, ScenePool, add_requested, load_pool, loosely
from runtime.training.precision import in_training_precision
from runtime.training.run import TrainingRun
from runtime.training.speech_codes import SpokenText, load_spoken
from runtime.training.speech_encoder import CONFIG as SPEECH_CONFIG
from runtime.training.speech_encoder import load_speech_encoder
from runtime.training.text import text_codec
from runtime.training.world import follow_up, plural, questions, request_to_draw, with_article

GRID = 10
NUM_SPEECH_CODES = 1024
SPOKEN_OFFSETS = 24  # codes; the longest words are said in a second
BATCH = 32
TASK_SHARES = {
    "pictures": {
        "text_to_image": 0.4,
        "text_and_image_to_image": 0.04,
        "image_to_text": 0.3,
        "text_to_text": 0.04,
        "text_to_speech": 0.22,
    },
    "spoken": {
        "text_to_image": 0.13,
        "text_and_image_to_image": 0.03,
        "image_to_text": 0.36,
        "text_to_text": 0.04,
        "speech_to_text": 0.14,
        "speech_to_image": 0.07,
        "text_to_speech": 0.19,
        "image_to_speech": 0.04,
    },
    "talking": {
        "text_to_image": 0.08,
        "image_to_text": 0.34,
        "text_to_text": 0.02,
        "speech_to_text": 0.08,
        "speech_to_image": 0.34,
        "text_to_speech": 0.12,
        "image_to_speech": 0.02,
    },
    "reading": {
        "text_to_image": 0.09,
        "text_and_image_to_image": 0.08,
        "image_to_text": 0.45,
        "text_to_text": 0.03,
        "speech_to_text": 0.12,
        "speech_to_image": 0.1,
        "text_to_speech": 0.11,
        "image_to_speech": 0.02,
    },
}
# The run each goes on from.
BEFORE = {"pictures": "finished", "spoken": "pictures", "talking": "spoken", "reading": "talking"}
# Those of version 2, on top of what it was before; "reading" came after it.
STEPS = {"pictures": 1900, "spoken": 2250, "talking": 500, "reading": 3000}
# Share of the run at the full learning rate, and that as a share of the peaks.
DECAY_FROM = {"pictures": 0.99, "spoken": 0.1, "talking": 0.05, "reading": 0.25}
LEARNING_RATES = {"pictures": 0.35, "spoken": 0.35, "talking": 0.15, "reading": 0.35}
NAMES_CELLS = ("reading",)  # the stages that do
ALL_HIDDEN = {"image": 0.35, "text": 0.5, "speech": 0.5}  # share of the slots that are hidden entirely
HEARD_SHARES = {"kokoro": 0.35, "hibari": 0.5, "flite": 0.15}  # how often each engine is listened to
READ_SHARES = (0.4, 0.15, 0.15, 0.15, 0.15)  # of READ_STYLES
READ_LOOSELY = 0.5  # share of pictures to read that are looser than those it draws
REFUSED = 0.07  # share of samples about what it does not know
UNKNOWN_SHOWN = 0.15  # of the questions that could be about it, share about a picture of what it does not know
END_WEIGHT = 0.1  # of an end of text in the loss, beside a word
PLAIN_SHARE = 0.1  # of what is said, plain English of no world
PROMPT_DROPPED = 0.1  # share of drawing samples that learn what guidance compares with


def vocabulary_of(codec: TextCodec) -> Vocabulary:
    return Vocabulary.compact(codec.num_tokens, NUM_SPEECH_CODES, IMAGE_CONFIG.num_codes)


def backbone_config(vocabulary: Vocabulary) -> BackboneConfig:
    return BackboneConfig(
        vocab_size=len(vocabulary),
        hidden_size=256,
        intermediate_size=640,
        num_hidden_layers=7,
        num_attention_heads=4,
        num_key_value_heads=2,
        rope_theta=10_000.0,
        tie_word_embeddings=True,
        image_grid=GRID,
        spoken_offsets=SPOKEN_OFFSETS,
    )


@dataclass(frozen=True)
class Target:
    """What belongs at the masked positions of one slot."""

    slot: Slot
    positions: Tensor
    tokens: Tensor


@dataclass(frozen=True)
class Sample:
    """cells: (100,) what stands in each cell of a picture that is read, where that is known."""

    canvas: Canvas
    targets: tuple[Target, ...]
    cells: Tensor | None = None


def masked_share(modality: str, rng: random.Random) -> float:
    """One ratio for a whole slot, often all of it: what a thing is must come from the words, not from its other half.

    Pictures otherwise go along the cosine they are drawn by.
    """
    if rng.random() < ALL_HIDDEN[modality]:
        return 1.0
    return math.cos(rng.random() * math.pi / 2) if modality == "image" else rng.random()


@dataclass(frozen=True)
class Layouter:
    """Turns contents and answers into samples."""

    vocabulary: Vocabulary
    codec: TextCodec

    def slot_tokens(self, slot: Slot, answer: str | Tensor) -> Tensor:
        """(slot.length,) ids: picture codes, speech codes with their tail, or text with its tail of end-of-text."""
        if isinstance(answer, Tensor) and slot.modality == "speech":
            codes = answer[: slot.length] + self.vocabulary.speech[0]
            return F.pad(codes, (0, slot.length - len(codes)), value=self.vocabulary[END_OF_SPEECH])
        if isinstance(answer, Tensor):
            return answer + self.vocabulary.image[0]
        ids = self.codec.encode(answer)[: slot.length]
        return torch.tensor(ids + [self.vocabulary[END_OF_TEXT]] * (slot.length - len(ids)))

    def sample(
        self,
        turns: Sequence[EncodedTurn],
        recipe: Recipe,
        answers: Sequence[str | Tensor],
        rng: random.Random,
        shares: Sequence[float] | None = None,
        narration: Narration | None = None,
    ) -> Sample:
        """Fill the slots with the answers, then hide a share of each; `shares` fixes them, else they are drawn.

        narration: of the speech slot, which is the last.
        """
        canvas = lay_out(turns, recipe, self.vocabulary, self.codec)
        if narration is not None:
            canvas = self._narrated(canvas, recipe, narration)
        token_ids, targets = canvas.token_ids.clone(), []
        for i, (slot, answer) in enumerate(zip(canvas.slots, answers, strict=True)):
            tokens = self.slot_tokens(slot, answer)
            share = masked_share(slot.modality, rng) if shares is None else shares[i]
            draws = torch.tensor([rng.random() for _ in range(slot.length)])
            masked = (draws <= share) & (tokens != self.vocabulary[END_OF_SPEECH])  # where speech ends is known
            # The tail of end-of-text is hidden less often: it would be most of what text slots learn.
            tail = tokens == self.vocabulary[END_OF_TEXT]
            if share < 1.0:
                masked &= ~tail | (draws <= 0.6 * share)
            token_ids[slot.positions] = torch.where(masked, canvas.mask_id, tokens)
            positions = masked.nonzero()[:, 0]
            targets.append(Target(slot, positions + slot.start, tokens[positions]))
        return Sample(replace(canvas, token_ids=token_ids), tuple(targets))

    def _narrated(self, canvas: Canvas, recipe: Recipe, narration: Narration) -> Canvas:
        """As `runtime.engine.narration.Narrator` lays it, by the times that were measured."""
        slot, says = canvas.slots[-1], recipe.slots[-1].says
        places = (
            words_of_prompt(canvas, self.vocabulary, self.codec)
            if says == PROMPT
            else torch.arange(len(narration.tokens)) + canvas.slot(str(says)).start
        )
        return narrated(canvas, slot, places, narration, self.vocabulary[END_OF_SPEECH])


def user(*contents: Content) -> list[EncodedTurn]:
    return [EncodedTurn("user", contents)]


class Curriculum:
    """Draws samples of every task."""

    def __init__(
        self,
        layouter: Layouter,
        pool: ScenePool,
        heard: Sequence[HeardUtterance],
        spoken: Sequence[SpokenText] = (),
    ) -> None:
        self.layouter, self.pool = layouter, pool
        self.spoken = {plain: [said for said in spoken if said.plain == plain] for plain in (False, True)}
        self.heard: dict[str, list[HeardUtterance]] = {}
        self.requests: dict[str, list[HeardUtterance]] = {}
        for utterance in heard:
            self.heard.setdefault(utterance.engine, []).append(utterance)
            if utterance.scene in pool.index[DRAWN_STYLE]:
                self.requests.setdefault(utterance.engine, []).append(utterance)

    def sample(self, task: str, rng: random.Random) -> Sample:
        sample: Sample = getattr(self, task)(SPEAKING_RECIPES[task], rng)
        return sample

    def text_to_image(self, recipe: Recipe, rng: random.Random) -> Sample:
        if rng.random() < REFUSED:
            (said, background), answer = self._other_request(rng), UNKNOWN
            if rng.random() < 0.4:
                background, (said, answer) = "white", small_talk(rng)
            return self.layouter.sample(user(said), recipe, [self.pool.blank(background), answer], rng)
        scene, codes = self.pool.draw(DRAWN_STYLE, rng)
        turns = NOTHING_SAID if rng.random() < PROMPT_DROPPED else user(request_to_draw(scene, rng))
        return self.layouter.sample(turns, recipe, [codes, scene.caption], rng)

    def _other_request(self, rng: random.Random) -> tuple[str, str]:
        """Words to draw what it does not know, and the background they name."""
        scene, _ = self.pool.draw(DRAWN_STYLE, rng)
        said = request_to_draw(scene, rng)
        thing, other = rng.choice(scene.things), rng.choice(other_things())
        for noun, strange in ((plural(thing), other + "s"), (with_article(thing), with_article(other))):
            said = re.sub(rf"\b{noun}\b", strange, said)
        return said, scene.background

    def text_and_image_to_image(self, recipe: Recipe, rng: random.Random) -> Sample:
        """What comes next with the last picture in sight: a change of it, or something else."""
        scene, codes = self.pool.draw(DRAWN_STYLE, rng)
        said, wanted = follow_up(scene, rng)
        if wanted not in self.pool.index[DRAWN_STYLE] or rng.random() < 0.3:
            wanted, _ = self.pool.draw(DRAWN_STYLE, rng)
            said = request_to_draw(wanted, rng)
        _, wanted_codes = self.pool.at(DRAWN_STYLE, self.pool.index[DRAWN_STYLE][wanted])
        dropped = rng.random() < PROMPT_DROPPED
        turns = NOTHING_SAID if dropped else user(EncodedImage(codes.view(GRID, GRID)), said)
        return self.layouter.sample(turns, recipe, [wanted_codes, wanted.caption], rng)

    def text_to_text(self, recipe: Recipe, rng: random.Random) -> Sample:
        """Small talk, and the caption of what was asked to be drawn."""
        if rng.random() < 0.35:
            said, answer = small_talk(rng)
        elif rng.random() < 0.3:
            said, answer = self._other_request(rng)[0], UNKNOWN
        else:
            scene, _ = self.pool.draw(DRAWN_STYLE, rng)
            said, answer = request_to_draw(scene, rng), scene.caption
        return self.layouter.sample(user(said), recipe, [answer], rng)

    def image_to_text(self, recipe: Recipe, rng: random.Random) -> Sample:
        style = rng.choices(READ_STYLES, READ_SHARES)[0]
        pool = loosely(style) if rng.random() < READ_LOOSELY else style
        scene, codes = self.pool.draw(pool, rng, READ_KINDS)
        found = questions(scene, rng)
        asked = rng.choice([q for q in found if q.about in ("what", "where", "caption")] * 2 + found)
        answer, cells = asked.answer, things_in_cells(scene)
        if rng.random() < UNKNOWN_SHOWN and asked.about in ("what", "where", "caption"):
            codes, answer = self.pool.unknown(rng), UNKNOWN
            cells = torch.full_like(cells, NOT_NAMED)
        image = EncodedImage(codes.view(GRID, GRID))
        return replace(self.layouter.sample(user(image, asked.text), recipe, [answer], rng), cells=cells)

    def text_to_speech(self, recipe: Recipe, rng: random.Random) -> Sample:
        said = self._said(rng)
        fitting = replace(recipe, slots=(replace(recipe.slots[0], length=len(said.codes)),))
        return self.layouter.sample(user(said.text), fitting, [said.codes], rng, narration=said.narration)

    def _said(self, rng: random.Random) -> SpokenText:
        """Mostly of its world: letter by letter, as other words are written, little is learnt in the time there is."""
        plain = self.spoken[True] if rng.random() < PLAIN_SHARE else []
        return rng.choice(plain or self.spoken[False])

    def image_to_speech(self, recipe: Recipe, rng: random.Random) -> Sample:
        """How an answer is said that is written already; what it is about does not matter to that."""
        said = self._said(rng)
        while len(said.narration.tokens) > TEXT_LENGTH or len(said.codes) > recipe.slots[-1].length:
            said = self._said(rng)
        _, codes = self.pool.draw(rng.choices(READ_STYLES, READ_SHARES)[0], rng)
        turns = user(EncodedImage(codes.view(GRID, GRID))) if rng.random() < 0.5 else user()
        shares = (0.0, masked_share("speech", rng))
        return self.layouter.sample(turns, recipe, [said.text, said.codes], rng, shares, said.narration)

    def _pick(self, found: dict[str, list[HeardUtterance]], rng: random.Random) -> HeardUtterance:
        engines = list(found)
        weights = [HEARD_SHARES[engine] for engine in engines]
        return rng.choice(found[rng.choices(engines, weights)[0]])

    def speech_to_text(self, recipe: Recipe, rng: random.Random) -> Sample:
        utterance = self._pick(self.heard, rng)
        return self.layouter.sample(user(EncodedSpeech(utterance.encoded.float())), recipe, [utterance.text], rng)

    def speech_to_image(self, recipe: Recipe, rng: random.Random) -> Sample:
        utterance = self._pick(self.requests, rng)
        assert utterance.scene is not None
        _, codes = self.pool.at(DRAWN_STYLE, self.pool.index[DRAWN_STYLE][utterance.scene])
        turns = NOTHING_SAID if rng.random() < PROMPT_DROPPED else user(EncodedSpeech(utterance.encoded.float()))
        # Mostly the words are known when the picture is drawn; without a prompt they never are.
        words = 1.0 if turns is NOTHING_SAID or rng.random() < 0.3 else 0.0
        shares = (words, masked_share("image", rng), masked_share("text", rng))
        answers: list[str | Tensor] = [utterance.text, codes, utterance.scene.caption]
        sample = self.layouter.sample(turns, recipe, answers, rng, shares)
        if turns is NOTHING_SAID:  # nobody can know what was said
            return Sample(sample.canvas, sample.targets[1:])
        return sample


def losses_of(network: Backbone, samples: Sequence[Sample], reader: CellReader | None = None) -> dict[str, Tensor]:
    """Mean cross-entropy at the masked positions by modality, each over its own part of the vocabulary.

    Ends of text count little: of the one noun that answers a question and the fifteen ends behind it, the noun matters.
    reader: with one, the cells of the pictures that are read are named as well.
    """
    batch = Batch.of([s.canvas for s in samples])
    embedded = network.embed(batch.token_ids, batch.image_cells, batch.spoken)
    if batch.speech:
        rows = [rows for _, _, rows in batch.speech]
        projected = network.model.audio_projection(torch.cat(rows)).split([len(r) for r in rows])
        for (index, start, _), part in zip(batch.speech, projected, strict=True):
            embedded[index, start : start + len(part)] = part
    bias = padding_bias(batch.lengths, batch.token_ids.shape[1], embedded.dtype)
    hidden, middle = hidden_and_middle(network, embedded, batch.positions, bias)
    losses: dict[str, Tensor] = {}
    named = [sample.cells for sample in samples if sample.cells is not None]
    if reader is not None and len(named) == len(samples):
        losses["cells"] = CELLS_WEIGHT * cell_loss(reader, middle, batch.image_cells, torch.stack(named))
    for modality in ("image", "text", "speech"):
        targets = [(i, t) for i, s in enumerate(samples) for t in s.targets if t.slot.modality == modality]
        if not sum(len(t.tokens) for _, t in targets):
            continue
        first, stop = targets[0][1].slot.vocabulary
        owner = torch.cat([torch.full_like(t.positions, i) for i, t in targets])
        rows_before = torch.cat([t.positions for _, t in targets]) - 1
        scores = F.linear(hidden[owner, rows_before], network.lm_head.weight[first:stop])
        tokens = torch.cat([t.tokens for _, t in targets])
        ends = torch.isin(tokens, torch.tensor(targets[0][1].slot.ends, dtype=torch.long))
        weights = torch.where(ends, END_WEIGHT, 1.0)
        each = F.cross_entropy(scores, tokens - first, reduction="none")
        losses[modality] = (each * weights).sum() / weights.sum()
    return losses


def optimizers_of(network: Backbone, vocabulary: Vocabulary, rate: float = 1.0) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for everything else that is trained; codes learn together as well."""
    matrices = [p for p in network.model.layers.parameters() if p.ndim == 2]
    chosen = {id(p) for p in matrices}
    rest = [p for p in network.parameters() if id(p) not in chosen and p.requires_grad]
    return [
        Muon(matrices, lr=0.02 * rate, weight_decay=0.01),
        torch.optim.AdamW(rest, lr=2e-3 * rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
        SharedDigits(network.model.embed_tokens.weight, digits_of(vocabulary), lr=3e-4 * rate),
    ]


def initialize(network: Backbone) -> None:
    """Small embeddings, layers that begin as almost nothing."""
    depth = network.config.num_hidden_layers
    for name, parameter in network.named_parameters():
        if "audio_model" in name or parameter.ndim < 2:
            continue
        if "spoken_" in name:  # nothing at first, so that a model without them can go on with them
            nn.init.zeros_(parameter)
            continue
        residual = name.endswith(("o_proj.weight", "down_proj.weight"))
        nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * depth) if residual else 0.04)


def taken_over(saved: dict[str, Tensor], network: Backbone, vocabulary: Vocabulary) -> dict[str, Tensor]:
    """A saved state as `network` takes it; one without speech codes or of fewer layers is grown.

    What else it has not, begins as it is initialised.
    """
    num_ids = len(saved["model.embed_tokens.weight"])
    if num_ids == len(vocabulary):
        return network.state_dict() | saved
    mute = Vocabulary.compact(vocabulary.text[1], 0, IMAGE_CONFIG.num_codes)
    if num_ids != len(mute):
        raise ValueError(
            f"a backbone of {num_ids} ids came; {len(vocabulary)}, or {len(mute)} without speech, can go on"
        )
    return grown(saved, mute, network.state_dict(), vocabulary)


@click.command()
@click.argument("stage", type=click.Choice(list(TASK_SHARES)))
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--steps", type=int, show_default=str(STEPS))
@click.option("--threads", default=1, show_default=True)
@click.option("--decay-from", type=float, show_default=str(DECAY_FROM), help="share of the run at full learning rate")
def main(stage: str, cache: Path, steps: int | None, threads: int, decay_from: float | None) -> None:
    """Train the backbone on one stage; resumes where it was stopped."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    codec = text_codec(cache)
    vocabulary = vocabulary_of(codec)
    network = Backbone(backbone_config(vocabulary), SPEECH_CONFIG)
    initialize(network)
    network.model.audio_model.requires_grad_(False)
    before = cache / "runs" / f"backbone_{BEFORE[stage]}" / "checkpoint.pt"
    hears = stage != "pictures"
    if hears or before.exists():  # pictures may be learned from nothing
        saved = without_reader(torch.load(before, weights_only=True)["network"])
        network.load_state_dict(taken_over(saved, network, vocabulary))
    if hears:
        network.model.audio_model.model.load_state_dict(load_speech_encoder(cache).state_dict())
    heard = load_heard(cache) if hears else []
    tasks = TASK_SHARES[stage]
    spoken = load_spoken(cache) if "text_to_speech" in tasks else []
    pool = load_pool(cache)
    add_requested(pool, (utterance.scene for utterance in heard if utterance.scene is not None), cache)
    curriculum = Curriculum(Layouter(vocabulary, codec), pool, heard, spoken)
    reader = CellReader(network.config.hidden_size) if stage in NAMES_CELLS else None
    if reader is not None:
        network.add_module(PREFIX.rstrip("."), reader)
    optimizers = optimizers_of(network, vocabulary, LEARNING_RATES[stage])
    run = TrainingRun(
        cache / "runs" / f"backbone_{stage}",
        network,
        optimizers,
        STEPS[stage] if steps is None else steps,
        warmup=30,
        decay_from=DECAY_FROM[stage] if decay_from is None else decay_from,
    )

    for layer in network.model.layers:
        layer.compile(dynamic=True)

    def loss_of(rng: random.Random) -> dict[str, Tensor]:
        task = rng.choices(list(tasks), list(tasks.values()))[0]
        samples = [curriculum.sample(task, rng) for _ in range(BATCH)]
        with in_training_precision():
            losses = losses_of(network, samples, reader)
        named = {f"{task} {modality}": loss for modality, loss in losses.items()}
        return {"loss": torch.stack(list(losses.values())).sum()} | named

    run.train(loss_of, dict)


if __name__ == "__main__":
    main()
