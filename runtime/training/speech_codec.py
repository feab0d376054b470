"""Train the speech codec of the embedded model: `python -m runtime.training.speech_codec`.

It learns to give frames back, and to tell the phoneme from its codes alone: so the few levels are spent on what is said
before how it sounds. That halved what a recogniser misunderstood.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from runtime.models.speech_codec import SpeechCodec, SpeechCodecConfig
from runtime.training.data.fetch import cache_folder
from runtime.training.precision import in_training_precision
from runtime.training.run import TrainingRun
from runtime.training.voice_frames import Frames, load_frames, normalisation, num_phonemes

CONFIG = SpeechCodecConfig(contrast=1.3)  # of 1 to 1.6 that at which most of the naturalness is won and no word is lost
CODES = 40  # of a sample, 1.6 s
BATCH = 24
STEPS = 7000
LEARNING_RATE = 1.3e-3
PITCH_WEIGHT, VOICE_WEIGHT, PHONEME_WEIGHT = 0.3, 0.1, 0.1


class CodecInTraining(nn.Module):
    """The codec and the head it is taught phonemes with, which is not kept."""

    def __init__(self, num_phonemes: int, config: SpeechCodecConfig = CONFIG) -> None:
        super().__init__()
        self.codec = SpeechCodec(config)
        self.phonemes = nn.Linear(config.code_width, num_phonemes * config.frames_per_code)

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, frames, values) normalised -> the same given back, and scores (batch, frames, phonemes)."""
        codec = self.codec
        trunk = codec.trunk(codec.levels.quantized(codec.heard(values[..., : codec.config.mels])))
        return codec.frames_of(trunk), self.phonemes(trunk).view(*values.shape[:2], -1)


@dataclass(frozen=True)
class Track:
    """All sentences behind one another. values: normalised."""

    values: Tensor
    phonemes: Tensor

    @classmethod
    def of(cls, frames: list[Frames], mean: Tensor, spread: Tensor) -> "Track":
        values = torch.cat([(each.values - mean) / spread for each in frames])
        return cls(values, torch.cat([each.phonemes for each in frames]))

    def draw(self, rng: random.Random, num_frames: int) -> tuple[Tensor, Tensor]:
        starts = [rng.randrange(len(self.values) - num_frames) for _ in range(BATCH)]
        return (
            torch.stack([self.values[start : start + num_frames] for start in starts]),
            torch.stack([self.phonemes[start : start + num_frames] for start in starts]),
        )


def losses_of(network: CodecInTraining, values: Tensor, phonemes: Tensor) -> dict[str, Tensor]:
    """values: (batch, frames, mels + 2) normalised."""
    given, scores = (part.float() for part in network(values))
    voiced = values[..., -1]
    mel = (given[..., :-2] - values[..., :-2]).abs().mean()
    pitch = ((given[..., -2] - values[..., -2]).abs() * voiced).mean()
    voice = F.binary_cross_entropy_with_logits(given[..., -1], voiced)
    phoneme = F.cross_entropy(scores.flatten(0, 1), phonemes.flatten())
    loss = mel + PITCH_WEIGHT * pitch + VOICE_WEIGHT * voice + PHONEME_WEIGHT * phoneme
    return {"loss": loss, "mel": mel, "pitch": pitch, "voice": voice, "phoneme": phoneme}


def load_codec(cache: Path) -> SpeechCodec:
    """The trained codec, without the head it was taught with."""
    saved = torch.load(cache / "runs" / "speech_codec" / "checkpoint.pt", weights_only=True)["network"]
    codec, prefix = SpeechCodec(CONFIG), "codec."
    codec.load_state_dict({name[len(prefix) :]: part for name, part in saved.items() if name.startswith(prefix)})
    return codec.eval()


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--steps", default=STEPS, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(cache: Path, steps: int, threads: int) -> None:
    """Train the speech codec; resumes where it was stopped."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    frames, held_out = load_frames(cache, "train"), load_frames(cache, "test")
    mean, spread = normalisation(frames)
    network = CodecInTraining(num_phonemes(cache))
    network.codec.mean.copy_(mean)
    network.codec.spread.copy_(spread)
    track = Track.of(frames, mean, spread)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )
    run = TrainingRun(cache / "runs" / "speech_codec", network, [optimizer], steps, warmup=50, decay_from=0.1)
    for blocks in (
        network.codec.hear_frames, network.codec.hear_codes, network.codec.say_codes, network.codec.say_frames,
    ):  # fmt: skip
        blocks.compile()

    def loss_of(rng: random.Random) -> dict[str, Tensor]:
        values, phonemes = track.draw(rng, CODES * CONFIG.frames_per_code)
        with in_training_precision():
            return losses_of(network, values, phonemes)

    @torch.no_grad()
    def report() -> dict[str, float]:
        found = Track.of(held_out, mean, spread)
        values, phonemes = found.draw(random.Random(0), 4 * CODES * CONFIG.frames_per_code)
        losses = losses_of(network, values, phonemes)
        return {f"test_{name}": float(losses[name]) for name in ("mel", "phoneme")}

    run.train(loss_of, report)


if __name__ == "__main__":
    main()
