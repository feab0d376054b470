"""Train the vocoder of the embedded model: `python -m runtime.training.harmonic_vocoder`.

It learns frame by frame, without a critic: how loud each frequency is, and its phase where the pulses lie as the
synthesiser's did. That works because the pulses are made from the synthesiser's own pitch.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from runtime.models.harmonic_vocoder import HarmonicVocoder, HarmonicVocoderConfig, pulses
from runtime.training.data.fetch import cache_folder
from runtime.training.data.voice import PITCH_HOP_SAMPLES, SAMPLE_RATE_HZ, Sentence
from runtime.training.precision import in_training_precision
from runtime.training.run import TrainingRun
from runtime.training.voice_frames import load_frames, normalisation

CONFIG = HarmonicVocoderConfig()
FRAMES = 100  # of a sample, 1 s
BATCH = 16
STEPS = 3000
LEARNING_RATE = 2e-3
COMPLEX_WEIGHT = 0.3
MAGNITUDE_FLOOR, LOUDNESS_FLOOR = 1e-3, 0.05
SENTENCES = 1500  # as many as the spectra of which memory holds


@dataclass(frozen=True)
class Spectra:
    """One sentence. values: (frames, 82); sound, pulses: (frames, bins) complex, kept in half precision as pairs."""

    values: Tensor
    sound: Tensor
    pulses: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def part(self, start: int, num_frames: int) -> "Spectra":
        stop = start + num_frames
        return Spectra(self.values[start:stop], self.sound[start:stop], self.pulses[start:stop])


def spectra_of(sentence: Sentence, values: Tensor, vocoder: HarmonicVocoder) -> Spectra:
    sound = torch.from_numpy(sentence.pcm.astype(np.float32))[None] / 32768
    excited = pulses(torch.from_numpy(sentence.f0)[None], PITCH_HOP_SAMPLES, SAMPLE_RATE_HZ)
    kept = [
        torch.view_as_real(vocoder.spectrum(samples)[0, : len(values)]).half()
        for samples in (sound, excited / CONFIG.hop_samples)
    ]
    return Spectra(values, *kept)


def losses_of(network: HarmonicVocoder, values: Tensor, sound: Tensor, excited: Tensor) -> dict[str, Tensor]:
    """values: (batch, frames, 82). sound, excited: (batch, frames, bins) complex."""
    with in_training_precision():
        filters = network.filters(values)
    noise = torch.randn_like(sound)
    made = filters.applied(excited, noise)
    magnitude = (made.real**2 + made.imag**2 + 1e-8).sqrt()
    log_magnitude = ((magnitude + MAGNITUDE_FLOOR).log() - (sound.abs() + MAGNITUDE_FLOOR).log()).abs().mean()
    off = made - sound
    loudness = sound.abs().mean((1, 2), keepdim=True) + LOUDNESS_FLOOR
    off_by = ((off.real**2 + off.imag**2 + 1e-8).sqrt() / loudness).mean()
    return {"loss": log_magnitude + COMPLEX_WEIGHT * off_by, "log_magnitude": log_magnitude, "complex": off_by}


def stacked(parts: list[Spectra]) -> tuple[Tensor, Tensor, Tensor]:
    """-> (batch, frames, 82), and sound and pulses (batch, frames, bins) complex."""
    sound, excited = (
        torch.view_as_complex(torch.stack([getattr(part, name) for part in parts]).float())
        for name in ("sound", "pulses")
    )
    return torch.stack([part.values for part in parts]), sound, excited


def drawn(spectra: list[Spectra], rng: random.Random) -> list[Spectra]:
    """A stretch of each of a batch of sentences that are long enough."""
    long = [each for each in spectra if len(each) > FRAMES]
    return [
        each.part(rng.randrange(len(each) - FRAMES), FRAMES)
        for each in rng.choices(long, weights=[len(each) for each in long], k=BATCH)
    ]


def load_vocoder(cache: Path) -> HarmonicVocoder:
    vocoder = HarmonicVocoder(CONFIG)
    saved = torch.load(cache / "runs" / "harmonic_vocoder" / "checkpoint.pt", weights_only=True)
    vocoder.load_state_dict(saved["network"])
    return vocoder.eval()


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--steps", default=STEPS, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(cache: Path, steps: int, threads: int) -> None:
    """Train the vocoder; resumes where it was stopped."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = HarmonicVocoder(CONFIG)
    frames, held_out = load_frames(cache, "train")[:SENTENCES], load_frames(cache, "test")
    mean, spread = normalisation(frames)
    network.mean.copy_(mean)
    network.spread.copy_(spread)
    spectra, tests = (
        [spectra_of(each.sentence, each.values, network) for each in found] for found in (frames, held_out)
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), fused=True)
    run = TrainingRun(cache / "runs" / "harmonic_vocoder", network, [optimizer], steps, warmup=50, decay_from=0.1)
    network.blocks.compile()

    def loss_of(rng: random.Random) -> dict[str, Tensor]:
        return losses_of(network, *stacked(drawn(spectra, rng)))

    @torch.no_grad()
    def report() -> dict[str, float]:
        losses = losses_of(network, *stacked(drawn(tests, random.Random(0))))
        return {f"test_{name}": float(losses[name]) for name in ("log_magnitude", "complex")}

    run.train(loss_of, report)


if __name__ == "__main__":
    main()
