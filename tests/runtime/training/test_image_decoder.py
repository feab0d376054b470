import random

import torch

from runtime.training.image_decoder import MOST_EXCHANGED, crowd, exchanged, optimizers_of, single_scenes
from runtime.training.world import Scene
from tests.support.tiny_model import tiny_model


def test_nothing_held_out_is_shown() -> None:
    assert single_scenes()
    assert not any(scene.held_out for scene in single_scenes())
    rng = random.Random(0)
    for _ in range(50):
        scene = crowd(rng)
        a, b, c, d = scene.things
        assert len(set(scene.things)) == 4
        assert not Scene("beside", (a, b), "red").held_out
        assert not Scene("beside", (c, d), "red").held_out
        assert not Scene("stacked", (a, c), "red").held_out
        assert not Scene("stacked", (b, d), "red").held_out


def test_every_other_picture_has_some_codes_exchanged() -> None:
    torch.manual_seed(0)
    codes = torch.arange(40 * 100).view(40, 10, 10)
    shares = (exchanged(codes, random.Random(0)) != codes).float().mean((1, 2))
    assert 10 < int((shares == 0).sum()) < 30
    assert 0.3 * MOST_EXCHANGED < float(shares[shares > 0].mean()) < MOST_EXCHANGED


def test_each_parameter_has_one_optimizer() -> None:
    decoder = tiny_model().image_tokenizer.decoder
    counted = [p for optimizer in optimizers_of(decoder) for group in optimizer.param_groups for p in group["params"]]
    assert len(counted) == len({id(p) for p in counted}) == len(list(decoder.parameters()))
