"""What the trained speech encoder hears in every training utterance, made once: `python -m runtime.training.heard`.

The encoder is frozen while the backbone learns, so the backbone need not wait for it.
"""

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
import torch
from torch import Tensor

from runtime.codecs.speech import SAMPLE_RATE_HZ
from runtime.training.data.fetch import cache_folder
from runtime.training.data.speech import load_utterances
from runtime.training.speech_encoder import distorted, front_end, load_speech_encoder, warped
from runtime.training.world import Scene, parse_request

MOST = 3000  # utterances of one engine
COPIES = {"kokoro": 3, "hibari": 1, "flite": 1}  # differently distorted; the many voices are few utterances


@dataclass(frozen=True)
class HeardUtterance:
    """encoded: (rows, encoder width) float16. scene: what is asked for, None when it is no request to draw."""

    text: str
    encoded: Tensor
    scene: Scene | None
    engine: str


def listen(cache: Path, most: int = MOST) -> None:
    """Encode the training utterances, distorted; of each engine at most the first `most`."""
    encoder, features_of, rng = load_speech_encoder(cache), front_end(cache), random.Random(5)
    heard = []
    taken: Counter[str] = Counter()
    for utterance in load_utterances("train", cache):
        engine = utterance.voice.split("/")[0]
        taken[engine] += 1
        if taken[engine] > most:
            continue
        for _ in range(COPIES[engine]):
            features = warped(features_of(distorted(utterance.pcm, rng)[0], SAMPLE_RATE_HZ), rng)
            with torch.inference_mode():
                encoded, _ = encoder(features[None], torch.tensor([len(features)]))
            heard.append({"text": utterance.text, "encoded": encoded[0].half(), "engine": engine})
    torch.save(heard, cache / "runs" / "heard.pt")
    print(f"{len(heard)} utterances heard")


def load_heard(cache: Path) -> list[HeardUtterance]:
    saved = torch.load(cache / "runs" / "heard.pt", weights_only=True)
    return [HeardUtterance(h["text"], h["encoded"], parse_request(h["text"]), h["engine"]) for h in saved]


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--most", default=MOST, show_default=True, help="utterances of one engine")
def main(cache: Path, most: int) -> None:
    """Listen to the training utterances."""
    torch.set_num_threads(1)
    listen(cache, most)


if __name__ == "__main__":
    main()
