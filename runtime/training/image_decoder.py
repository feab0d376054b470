"""Go on with the image decoder alone: `python -m runtime.training.image_decoder`.

The codes stay what they are, so the backbone learns from them meanwhile; only how they look gets sharper. Only the
drawn style is shown: nothing else is ever decoded.
"""

import random
from pathlib import Path

import click
import torch
from torch import Tensor

from runtime.training.data.drawings import load_drawings
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
from runtime.training.pictures import DRAWN_STYLE, load_pool
from runtime.training.run import TrainingRun

BATCH = 16
GRID = 10


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--steps", default=3000, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(cache: Path, steps: int, threads: int) -> None:
    """Train the image decoder on fixed codes; resumes where it was stopped."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    drawings, pool = load_drawings(cache), load_pool(cache)
    network = load_image_tokenizer(cache)
    network.encoder.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        network.decoder.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-4, fused=True
    )
    run = TrainingRun(cache / "runs" / "image_decoder", network, [optimizer], steps, warmup=60, decay_from=0.2)
    pictures = held_out_pictures(drawings)

    def loss_of(rng: random.Random) -> dict[str, Tensor]:
        drawn = [pool.draw(DRAWN_STYLE, rng) for _ in range(BATCH)]
        pixels = to_pixels([render(scene, drawings, DRAWN_STYLE) for scene, _ in drawn])
        codes = torch.stack([codes for _, codes in drawn]).view(-1, GRID, GRID)
        difference = network.decode(codes) - pixels
        return {"loss": pixel_loss(difference, EDGE_WEIGHT), "l1": difference.abs().mean()}

    run.train(loss_of, lambda: judge_reconstruction(network, pictures, run.folder / "sheet.png"))


if __name__ == "__main__":
    main()
