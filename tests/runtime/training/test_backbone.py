import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import END_OF_SPEECH, END_OF_TEXT
from runtime.engine.narration import Narration, Narrator, Timing
from runtime.engine.recipe import EMBEDDED_RECIPES, SPEAKING_RECIPES
from runtime.models.backbone import Backbone
from runtime.training.backbone import (
    ALL_HIDDEN,
    PLAIN_SHARE,
    TASK_SHARES,
    Curriculum,
    Layouter,
    Sample,
    backbone_config,
    initialize,
    losses_of,
    masked_share,
    optimizers_of,
    user,
    vocabulary_of,
)
from runtime.training.heard import HeardUtterance
from runtime.training.pictures import READ_STYLES, ScenePool, loosely
from runtime.training.speech_codes import SpokenText
from runtime.training.speech_encoder import CONFIG as SPEECH_CONFIG
from runtime.training.text import corpus
from runtime.training.world import BACKGROUNDS, Scene

STYLES = (*READ_STYLES, *map(loosely, READ_STYLES))
SCENES = [
    Scene("single", ("cat",), "blue"),
    Scene("count", ("dog", "dog"), "red"),
    Scene("beside", ("sun", "key"), "pink"),
]


@pytest.fixture(scope="module")
def curriculum() -> Curriculum:
    codec = TextCodec.train(corpus(random.Random(0))[:3000], 1024)
    codes = np.random.default_rng(0).integers(0, 2048, (len(SCENES), 100)).astype(np.int16)
    pool = ScenePool(
        dict.fromkeys(STYLES, SCENES),
        dict.fromkeys(STYLES, codes),
        codes,
        dict.fromkeys(BACKGROUNDS, codes[0]),
    )
    said = "draw two dogs on a red background"
    heard = [HeardUtterance(said, torch.randn(40, SPEECH_CONFIG.output_size), SCENES[1], "kokoro")]
    tokens = torch.tensor(codec.encode("two dogs"))
    starts = torch.arange(len(tokens)) * 3.0 + 2
    narration = Narration(tokens, starts, float(starts[-1]) + 3, 3 * len(tokens) + 6)
    spoken = [SpokenText("two dogs", False, torch.arange(narration.length), narration)]
    return Curriculum(Layouter(vocabulary_of(codec), codec), pool, heard, spoken)


@pytest.mark.parametrize("task", sorted({task for shares in TASK_SHARES.values() for task in shares}))
def test_samples_hide_what_they_ask_for(curriculum: Curriculum, task: str) -> None:
    rng = random.Random(1)
    for _ in range(20):
        sample: Sample = curriculum.sample(task, rng)
        canvas = sample.canvas
        for target in sample.targets:
            first, stop = target.slot.vocabulary
            assert bool(canvas.masked[target.positions].all())
            assert bool(((target.tokens >= first) & (target.tokens < stop)).all())
        asked = sum(len(target.positions) for target in sample.targets)
        hidden = int(canvas.masked.sum())
        assert asked == hidden or (task == "speech_to_image" and len(sample.targets) == 2)


def test_shares_are_kept(curriculum: Curriculum) -> None:
    recipe = EMBEDDED_RECIPES["text_to_image"]
    answers = [torch.arange(100), "two dogs"]
    layouter = curriculum.layouter
    sample = layouter.sample(user("two dogs"), recipe, answers, random.Random(0), shares=(1.0, 0.0))
    assert len(sample.targets[0].tokens) == 100
    assert len(sample.targets[1].tokens) == 0
    text = sample.canvas.tokens_of(sample.canvas.slot("text"))
    assert int((text == layouter.vocabulary[END_OF_TEXT]).sum()) == len(text) - len(layouter.codec.encode("two dogs"))


@pytest.mark.parametrize("task", ["text_to_speech", "image_to_speech"])
def test_speech_is_laid_along_its_words_as_it_will_be_served(curriculum: Curriculum, task: str) -> None:
    codec, vocabulary = curriculum.layouter.codec, curriculum.layouter.vocabulary
    canvas = curriculum.sample(task, random.Random(2)).canvas
    slot = canvas.slots[-1]
    said = curriculum.spoken[False][0].narration
    assert canvas.spoken[slot.positions][: said.length].tolist() == said.said.tolist()
    served = Narrator(Timing(torch.full((codec.num_tokens, 2), 3.0), (2.0, 4.0)), vocabulary, codec)
    recipe = SPEAKING_RECIPES[task]
    words = [] if task == "text_to_speech" else ["two dogs"]
    canvas = replace(canvas, token_ids=canvas.token_ids.where(canvas.spoken < 0, canvas.mask_id))
    laid = served.laid(canvas, recipe)
    assert torch.equal(laid.positions, canvas.positions)
    assert torch.equal(laid.spoken, canvas.spoken)
    tail = canvas.tokens_of(slot)[said.length :]
    assert bool((tail == vocabulary[END_OF_SPEECH]).all())
    assert words == [] or int(canvas.num_masked(canvas.slots[0])) == 0


def test_mostly_sentences_of_its_world_are_said(curriculum: Curriculum) -> None:
    (said,) = curriculum.spoken[False]
    both = Curriculum(curriculum.layouter, curriculum.pool, [], [said, replace(said, text="two dogs", plain=True)])
    rng = random.Random(0)
    drawn = [both._said(rng).plain for _ in range(400)]
    assert sum(drawn) / 400 == pytest.approx(PLAIN_SHARE, abs=0.05)


def test_a_few_steps_learn_one_batch(curriculum: Curriculum) -> None:
    torch.manual_seed(0)
    network = Backbone(backbone_config(curriculum.layouter.vocabulary), SPEECH_CONFIG)
    initialize(network)
    network.model.audio_model.requires_grad_(False)
    samples = [curriculum.sample("speech_to_image", random.Random(i)) for i in range(2)]
    optimizers = optimizers_of(network, curriculum.layouter.vocabulary)
    history = []
    for _ in range(4):
        loss = torch.stack(list(losses_of(network, samples).values())).sum()
        history.append(float(loss.detach()))
        network.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
    assert history[-1] < 0.9 * history[0]


@pytest.mark.parametrize("modality", ["image", "text", "speech"])
def test_slots_are_often_hidden_entirely(modality: str) -> None:
    rng = random.Random(0)
    shares = [masked_share(modality, rng) for _ in range(400)]
    assert all(0 <= share <= 1 for share in shares)
    assert sum(share == 1.0 for share in shares) / 400 == pytest.approx(ALL_HIDDEN[modality], abs=0.08)
