"""Go on with the image decoder alone: `python -m runtime.training.image_decoder`.

The codes stay what they are, so the backbone learns from them meanwhile; only how they look gets sharper. Only the
drawn style is shown: nothing else is ever decoded. Some codes are exchanged for others, as a backbone errs too.
"""

import random
from pathlib import Path

import click
import torch
from torch import Tensor

from runtime.models.image_tokenizer import ImageDecoder, ImageTokenizer
from runtime.training.data.drawings import Drawings, load_drawings
from runtime.training.data.fetch import cache_folder
from runtime.training.data.scenes import render
from runtime.training.image_tokenizer import (
    EDGE_WEIGHT,
    held_out_pictures,
    judge_reconstruction,
    load_image_tokenizer,
    pixel_loss,
    to_pixels,
)
from runtime.training.muon import Muon
from runtime.training.pictures import DRAWN_STYLE
from runtime.training.run import TrainingRun
from runtime.training.world import BACKGROUNDS, THINGS, Scene

BATCH = 16
NUM_CROWDS = 6000
CROWD_SHARE = 0.5  # the other half are things alone
MOST_EXCHANGED = 0.12  # of a picture's codes, in every other picture


def single_scenes() -> list[Scene]:
    scenes = [Scene("single", (thing,), background) for thing in THINGS for background in BACKGROUNDS]
    return [scene for scene in scenes if not scene.held_out]


def crowd(rng: random.Random) -> Scene:
    """Four different things: as much to learn as in four pictures. No two neighbours are a held-out pair."""
    while True:
        a, b, c, d = rng.sample(list(THINGS), 4)
        background = rng.choice(list(BACKGROUNDS))
        neighbours = (("beside", a, b), ("beside", c, d), ("stacked", a, c), ("stacked", b, d))
        if not any(Scene(layout, (x, y), background).held_out for layout, x, y in neighbours):  # type: ignore[arg-type]
            return Scene("count", (a, b, c, d), background)


@torch.inference_mode()
def encode_scenes(network: ImageTokenizer, scenes: list[Scene], drawings: Drawings) -> Tensor:
    """(scenes, rows, columns) codes."""
    parts = [scenes[start : start + 64] for start in range(0, len(scenes), 64)]
    return torch.cat(
        [network.encode(to_pixels([render(scene, drawings, DRAWN_STYLE) for scene in part])) for part in parts]
    )


def exchanged(codes: Tensor, rng: random.Random) -> Tensor:
    """The codes of a batch (n, rows, columns), every other picture with some of its codes taken from anywhere."""
    strangers = codes.flatten()[torch.randint(codes.numel(), codes.shape)]
    shares = torch.tensor([rng.uniform(0, MOST_EXCHANGED) if rng.random() < 0.5 else 0.0 for _ in codes])
    return torch.where(torch.rand(codes.shape) < shares[:, None, None], strangers, codes)


def optimizers_of(decoder: ImageDecoder) -> list[torch.optim.Optimizer]:
    """Muon for the convolutions between the first and the last, AdamW for everything else."""
    kernels = [
        p for name, p in decoder.named_parameters() if p.ndim == 4 and p.shape[-1] == 3 and "conv_out" not in name
    ]
    chosen = {id(p) for p in kernels}
    rest = [p for p in decoder.parameters() if id(p) not in chosen]
    return [
        Muon(kernels, lr=0.02),
        torch.optim.AdamW(rest, lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-4, fused=True),
    ]


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--steps", default=3000, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(cache: Path, steps: int, threads: int) -> None:
    """Train the image decoder on fixed codes; resumes where it was stopped."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    drawings = load_drawings(cache)
    network = load_image_tokenizer(cache)
    network.encoder.requires_grad_(False)
    singles, drawn = single_scenes(), random.Random(7)
    crowds = [crowd(drawn) for _ in range(NUM_CROWDS)]
    single_codes, crowd_codes = (encode_scenes(network, scenes, drawings).clone() for scenes in (singles, crowds))
    run = TrainingRun(
        cache / "runs" / "image_decoder", network, optimizers_of(network.decoder), steps, warmup=30, decay_from=0.3
    )
    pictures = held_out_pictures(drawings)

    def draw(rng: random.Random) -> tuple[Scene, Tensor]:
        scenes, codes = (crowds, crowd_codes) if rng.random() < CROWD_SHARE else (singles, single_codes)
        index = rng.randrange(len(scenes))
        return scenes[index], codes[index]

    def loss_of(rng: random.Random) -> dict[str, Tensor]:
        batch = [draw(rng) for _ in range(BATCH)]
        pixels = to_pixels([render(scene, drawings, DRAWN_STYLE) for scene, _ in batch])
        difference = network.decode(exchanged(torch.stack([codes for _, codes in batch]), rng)) - pixels
        return {"loss": pixel_loss(difference, EDGE_WEIGHT), "l1": difference.abs().mean()}

    run.train(loss_of, lambda: judge_reconstruction(network, pictures, run.folder / "sheet.png"))


if __name__ == "__main__":
    main()
