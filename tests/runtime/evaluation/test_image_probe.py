import builtins
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from runtime.evaluation import image_probe
from runtime.evaluation.image_probe import ProbeError, degrade, fit_probe, load_probe, measure_ceiling
from runtime.training.data.drawings import DRAWN_STYLE, SIZES, STYLES, Drawings, Pixels
from runtime.training.data.scenes import render
from runtime.training.world import THINGS, Scene


@pytest.fixture(scope="module")
def drawings() -> Drawings:
    """Each thing is a pattern of 4 x 4 tiles, the same in all styles."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2, (len(THINGS), 1, 4, 4, 3)) * 255
    sprites = {}
    for size in SIZES:
        colors = patterns.repeat(size // 4, axis=2).repeat(size // 4, axis=3).repeat(len(STYLES), axis=1)
        opaque = np.full((*colors.shape[:-1], 1), 255)
        sprites[size] = np.concatenate([colors, opaque], -1).astype(np.uint8)
    return Drawings(tuple(THINGS), STYLES, sprites)


@pytest.fixture
def plain_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small pictures in place of the network's features: the regression is tested without the network."""

    def features(crops: Sequence[Pixels]) -> torch.Tensor:
        inputs = torch.cat([image_probe._input(crop) for crop in crops])
        return torch.nn.functional.avg_pool2d(inputs, 8).flatten(1)

    monkeypatch.setattr(image_probe, "features", features)


@pytest.mark.usefixtures("plain_features")
def test_the_probe_knows_real_pictures_and_no_others(drawings: Drawings) -> None:
    probe = fit_probe(drawings)
    crops = [render(Scene("single", (thing,), "blue"), drawings, DRAWN_STYLE)[4:76, 4:76] for thing in THINGS]
    assert probe.score(crops).shape == (64, 64)
    names = probe.recognise(crops)
    assert np.mean([name == thing for name, thing in zip(names, THINGS, strict=True)]) > 0.95
    ceiling = measure_ceiling(probe, drawings, num=60)
    assert ceiling["things"] > 0.9
    assert ceiling["relation"] > 0.8
    noise = np.random.default_rng(1).integers(0, 256, (64, 72, 72, 3)).astype(np.uint8)
    assert np.mean([name == thing for name, thing in zip(probe.recognise(list(noise)), THINGS, strict=True)]) < 0.2


@pytest.mark.usefixtures("plain_features")
def test_the_probe_is_fitted_once(drawings: Drawings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_probe, "build_drawings", lambda cache: drawings)
    first = load_probe(tmp_path)
    monkeypatch.setattr(image_probe, "fit_probe", lambda drawings: pytest.fail("fitted twice"))
    again = load_probe(tmp_path)
    assert torch.equal(first.weights, again.weights)
    assert torch.equal(first.mean, again.mean)
    monkeypatch.setattr(image_probe, "FORMAT", image_probe.FORMAT + 1)
    with pytest.raises(pytest.fail.Exception, match="fitted twice"):
        load_probe(tmp_path)


def test_nothing_held_out_is_fitted_on() -> None:
    rng = random.Random(0)
    for thing in THINGS:
        chosen = image_probe._scenes_of(thing, rng)
        assert {scene.layout for scene in chosen} == {"single", "count"}
        assert not any(scene.held_out for scene in chosen), thing


def test_degrade_keeps_the_size_and_loses_the_detail() -> None:
    crop = np.zeros((72, 72, 3), np.uint8)
    crop[::2] = 255
    blurred = degrade(crop, 2)
    assert blurred.shape == crop.shape
    assert np.ptp(blurred[8:-8]) < 10


def test_features_of_the_real_network() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    crops = [np.full((40, 40, 3), 255, np.uint8), np.zeros((72, 72, 3), np.uint8)]
    found = image_probe.features(crops)
    assert found.shape == (2, 1280)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    assert not torch.allclose(found[0], found[1])
    assert torch.equal(found, image_probe.features(crops)), "the network is frozen"


def test_without_the_network_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("efficientnet"):
            raise ImportError(f"No module named {name!r}", name=name)
        return real(name, *rest, **named)

    image_probe._network.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ProbeError, match=r"omnisdk\[train\]"):
        image_probe.features([np.zeros((40, 40, 3), np.uint8)])
