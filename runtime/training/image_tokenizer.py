"""Train the image tokenizer on rendered scenes: `python -m runtime.training.image_tokenizer`."""

import random
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from runtime.models.image_tokenizer import ImageTokenizer, ImageTokenizerConfig, StageConfig
from runtime.training.data.drawings import Drawings, load_drawings
from runtime.training.data.fetch import cache_folder
from runtime.training.data.scenes import random_training_picture, render
from runtime.training.run import TrainingRun
from runtime.training.world import random_scene

CONFIG = ImageTokenizerConfig(
    encoder=StageConfig(ch=64, ch_mult=(1, 3), num_res_blocks=(1, 1), patch_size=4),
    decoder=StageConfig(ch=64, ch_mult=(1, 3), num_res_blocks=(2, 2), patch_size=4),
    codebook_dim=11,
)
BATCH = 16
EDGE_WEIGHT = 0.4  # of the gradient loss, ramped in so that a grey constant never pays
ENTROPY_WEIGHT = 0.01  # keeps every bit in use; a stronger one collapses the codes


def to_pixels(pictures: list[NDArray[np.uint8]]) -> Tensor:
    """(n, 3, height, width) in [-1, 1]."""
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return stacked.contiguous(memory_format=torch.channels_last)


def straight_through(latent: Tensor) -> tuple[Tensor, Tensor]:
    """Signs that pass gradients as the normalised latent does, and the entropy of each bit over the batch."""
    scaled = latent * torch.rsqrt(latent.pow(2).mean(1, keepdim=True) + 1e-6)
    signs = torch.where(latent > 0, 1.0, -1.0)
    share = torch.sigmoid(4 * scaled).mean((0, 2, 3))
    entropy = -(share * (share + 1e-6).log() + (1 - share) * (1 - share + 1e-6).log()).mean()
    return scaled + (signs - scaled).detach(), entropy


def edges(difference: Tensor) -> Tensor:
    return difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()


def psnr(made: Tensor, real: Tensor) -> float:
    """Mean peak signal-to-noise ratio in dB; both (n, 3, h, w) in [-1, 1]."""
    error = ((made.clamp(-1, 1) - real) / 2).pow(2).mean((1, 2, 3))
    return float((-10 * error.log10()).mean())


def load_image_tokenizer(cache: Path, run: str = "image_tokenizer") -> ImageTokenizer:
    """The tokenizer as a run left it."""
    network = ImageTokenizer(CONFIG)
    saved = torch.load(cache / "runs" / run / "checkpoint.pt", weights_only=True)
    network.load_state_dict(saved["network"])
    return channels_last(network.eval())


def channels_last(network: ImageTokenizer) -> ImageTokenizer:
    """The layout convolutions are fastest in on a processor; in place."""
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def pixel_loss(difference: Tensor, edge_weight: float) -> Tensor:
    loss = difference.abs().mean() + 0.5 * difference.pow(2).mean()
    return loss + edge_weight * edges(difference)


def held_out_pictures(drawings: Drawings) -> Tensor:
    """48 pictures of combinations nothing is trained on, (48, 3, 80, 80)."""
    rng = random.Random(1)
    return to_pixels([render(random_scene(rng, held_out=True), drawings, "twemoji") for _ in range(48)])


@torch.inference_mode()
def judge_reconstruction(network: ImageTokenizer, pictures: Tensor, sheet: Path) -> dict[str, float]:
    """Encode and decode the pictures; leaves a sheet of 24, each row of originals above what was made of it."""
    codes = network.encode(pictures)
    made = network.decode(codes)
    rows = [torch.cat(list(part[i : i + 12]), -1) for i in (0, 12) for part in (pictures, made.clamp(-1, 1))]
    Image.fromarray(((torch.cat(rows, -2) + 1) * 127.5).byte().permute(1, 2, 0).numpy()).save(sheet)
    return {"psnr": psnr(made, pictures), "codes_used": float(len(set(codes.flatten().tolist())))}


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--steps", default=4000, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(cache: Path, steps: int, threads: int) -> None:
    """Train the image tokenizer; resumes where it was stopped."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    drawings = load_drawings(cache)
    network = channels_last(ImageTokenizer(CONFIG))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=1e-4, fused=True)
    run = TrainingRun(cache / "runs" / "image_tokenizer", network, [optimizer], steps, warmup=60, decay_from=0.1)
    pictures = held_out_pictures(drawings)

    def loss_of(rng: random.Random) -> dict[str, Tensor]:
        pixels = to_pixels([random_training_picture(rng, drawings) for _ in range(BATCH)])
        signs, entropy = straight_through(network.encoder(pixels))
        difference = network.decoder(signs) - pixels
        ramp = min(1.0, max(0.0, (run.progress - 0.3) / 0.3))
        loss = pixel_loss(difference, EDGE_WEIGHT * ramp) - ENTROPY_WEIGHT * entropy
        return {"loss": loss, "l1": difference.abs().mean(), "bit_entropy": entropy}

    run.train(loss_of, lambda: judge_reconstruction(network, pictures, run.folder / "sheet.png"))


if __name__ == "__main__":
    main()
