"""Take a finished model apart into runs, so that training goes on from it: `python -m runtime.training.unpack`.

The runs that exist already stay as they are.
"""

from pathlib import Path
from typing import Any

import click
import torch

from runtime.codecs.compact_voice import CompactVoiceCodec
from runtime.engine.model import EMBEDDED, OmniModel, load_model
from runtime.training.data.fetch import cache_folder


def _copied(part: Any) -> Any:
    """Tensors with memory of their own: loaded weights are views into their mapped file, which are not to be saved."""
    return {name: _copied(inner) for name, inner in part.items()} if isinstance(part, dict) else part.clone()


def unpack(model: OmniModel, runs: Path) -> None:
    """Write each part of `model` as the training run it could have come from."""
    encoder = model.backbone.model.audio_model.model.state_dict()
    parts: dict[str, Any] = {
        "front_end.pt": {"shift": model.front_end.shift, "scale": model.front_end.scale},
        "image_tokenizer/checkpoint.pt": {"network": model.image_tokenizer.state_dict()},
        "speech_encoder/checkpoint.pt": {"network": {f"encoder.{name}": part for name, part in encoder.items()}},
        "backbone_finished/checkpoint.pt": {"network": model.backbone.state_dict()},
    }
    if isinstance(model.voice, CompactVoiceCodec):
        voice = model.voice.network
        codec = {f"codec.{name}": part for name, part in voice.codec.state_dict().items()}
        parts["speech_codec/checkpoint.pt"] = {"network": codec}
        parts["harmonic_vocoder/checkpoint.pt"] = {"network": voice.vocoder.state_dict()}
    for name, part in parts.items():
        path = runs / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(_copied(part), path)
    if not (runs / "tokenizer.json").exists():
        model.text.save(runs / "tokenizer.json")


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--model", "folder", type=click.Path(path_type=Path), default=EMBEDDED, show_default="the embedded model")
def main(cache: Path, folder: Path) -> None:
    """Take a model folder apart into runs."""
    unpack(load_model(folder), cache / "runs")
    print(f"{folder} unpacked into {cache / 'runs'}")


if __name__ == "__main__":
    main()
