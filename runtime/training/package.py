"""Put the trained parts together as the model that ships: `python -m runtime.training.package`."""

from pathlib import Path

import click
import torch

from runtime.codecs.compact_voice import CompactVoiceCodec
from runtime.engine.model import EMBEDDED, OmniModel, save_model
from runtime.engine.recipe import EMBEDDED_RECIPES
from runtime.engine.rules import Spelled
from runtime.models.backbone import Backbone
from runtime.training.backbone import backbone_config, vocabulary_of
from runtime.training.cells import without_reader
from runtime.training.data.fetch import cache_folder
from runtime.training.data.scenes import CANVAS
from runtime.training.image_tokenizer import load_image_tokenizer
from runtime.training.phrasing import EXPLAINED, FOLLOW_UPS, UNSURE, WORDINGS
from runtime.training.speech_codes import CODES_FILE, load_voice
from runtime.training.speech_encoder import CONFIG as SPEECH_CONFIG
from runtime.training.speech_encoder import LETTERS, front_end
from runtime.training.text import text_codec

SPELLED = Spelled(LETTERS, weight=0.4, tempo=0.8)


def trained_model(cache: Path, stage: str = "reading") -> OmniModel:
    """The model as the runs in the cache left it."""
    codec = text_codec(cache)
    vocabulary = vocabulary_of(codec)
    backbone = Backbone(backbone_config(vocabulary), SPEECH_CONFIG)
    saved = torch.load(cache / "runs" / f"backbone_{stage}" / "checkpoint.pt", weights_only=True)
    backbone.load_state_dict(without_reader(saved["network"]))
    return OmniModel(
        name="omni-embedded-v3",
        backbone=backbone.eval(),
        image_tokenizer=load_image_tokenizer(cache, decoder_run(cache)),
        vocabulary=vocabulary,
        text=codec,
        front_end=front_end(cache),
        recipes=EMBEDDED_RECIPES,
        image_size_px=CANVAS,
        unsure=UNSURE if (cache / "runs" / CODES_FILE).exists() else None,  # half of its recipes speak
        explained=EXPLAINED,
        spelled=SPELLED,
        follow_ups=FOLLOW_UPS,
        wordings=WORDINGS,
        voice=CompactVoiceCodec(load_voice(cache)) if (cache / "runs" / CODES_FILE).exists() else None,
    )


def decoder_run(cache: Path) -> str:
    """The run with the best decoder: the one that went on with it, if there is one."""
    return "image_decoder" if (cache / "runs" / "image_decoder" / "checkpoint.pt").exists() else "image_tokenizer"


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--out", type=click.Path(path_type=Path), default=EMBEDDED, show_default="the package's own folder")
@click.option("--stage", default="reading", show_default=True, help="the backbone run to take")
def main(cache: Path, out: Path, stage: str) -> None:
    """Write the model folder."""
    save_model(trained_model(cache, stage), out, SPEECH_CONFIG)
    print(f"{out}: {sum(f.stat().st_size for f in out.iterdir() if f.is_file()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
