"""A whole model as the engine uses it: networks, codecs, vocabulary and recipes, read from one folder.

`model.json` in the folder names the parts and their sizes; weights lie beside it as safetensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from runtime.codecs.speech import SpeechFrontEnd
from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import Vocabulary
from runtime.engine.recipe import EMBEDDED_RECIPES, Recipe
from runtime.models.backbone import Backbone, BackboneConfig
from runtime.models.checkpoints import CheckpointError, load_weights, read_weights, save_weights
from runtime.models.image_tokenizer import ImageTokenizer, ImageTokenizerConfig
from runtime.models.speech_encoder import SpeechEncoderConfig

MODEL_FILE, TEXT_FILE = "model.json", "tokenizer.json"
BACKBONE_FILE, IMAGE_FILE = "backbone.safetensors", "image_tokenizer.safetensors"
FRONT_END_FILE = "speech_front_end.safetensors"
EMBEDDED = Path(__file__).parent.parent / "embedded"


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `model.json` holds.

    image_size_px: side of the square pictures. speech_level: RMS speech is brought to, null for as it comes.
    """

    name: str
    backbone: BackboneConfig
    speech_encoder: SpeechEncoderConfig
    image_tokenizer: ImageTokenizerConfig
    vocabulary: Vocabulary
    image_size_px: int
    speech_level: float | None


@dataclass(frozen=True)
class OmniModel:
    """Everything a response needs; networks are in eval mode."""

    name: str
    backbone: Backbone
    image_tokenizer: ImageTokenizer
    vocabulary: Vocabulary
    text: TextCodec
    front_end: SpeechFrontEnd
    recipes: Mapping[str, Recipe]
    image_size_px: int

    @property
    def image_grid(self) -> tuple[int, int]:
        """Rows and columns of a picture's codes."""
        side = self.image_size_px // self.image_tokenizer.config.downsampling
        return side, side


def read_model_file(folder: Path) -> ModelFile:
    path = folder / MODEL_FILE
    if not path.is_file():
        raise CheckpointError(f"{folder}: no {MODEL_FILE} here, so it is no model folder. Give the folder of a model.")
    try:
        return msgspec.json.decode(path.read_bytes(), type=ModelFile)
    except msgspec.MsgspecError as error:
        raise CheckpointError(f"{path}: {error}. Restore the file that came with the model.") from error


def load_model(folder: Path = EMBEDDED) -> OmniModel:
    """Read a model folder. Raises CheckpointError naming the file, what is wrong and what to do."""
    file = read_model_file(folder)
    backbone = Backbone(file.backbone, file.speech_encoder)
    load_weights(backbone, folder / BACKBONE_FILE)
    tokenizer = ImageTokenizer(file.image_tokenizer)
    load_weights(tokenizer, folder / IMAGE_FILE)
    front_end = read_weights(folder / FRONT_END_FILE)
    if not (folder / TEXT_FILE).is_file():
        raise CheckpointError(f"{folder / TEXT_FILE}: no such file. Copy or train the model again.")
    return OmniModel(
        name=file.name,
        backbone=backbone.eval(),
        image_tokenizer=tokenizer.eval().to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        vocabulary=file.vocabulary,
        text=TextCodec.load(folder / TEXT_FILE),
        front_end=SpeechFrontEnd(front_end["shift"].float(), front_end["scale"].float(), file.speech_level),
        recipes=EMBEDDED_RECIPES,
        image_size_px=file.image_size_px,
    )


def save_model(model: OmniModel, folder: Path, speech_encoder: SpeechEncoderConfig) -> None:
    """Write a model folder that `load_model` reads."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    file = ModelFile(
        name=model.name,
        backbone=model.backbone.config,
        speech_encoder=speech_encoder,
        image_tokenizer=model.image_tokenizer.config,
        vocabulary=model.vocabulary,
        image_size_px=model.image_size_px,
        speech_level=model.front_end.level,
    )
    (folder / MODEL_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")
    model.text.save(folder / TEXT_FILE)
    save_weights(model.backbone, folder / BACKBONE_FILE)
    save_weights(model.image_tokenizer, folder / IMAGE_FILE)
    save_file({"shift": model.front_end.shift, "scale": model.front_end.scale}, folder / FRONT_END_FILE)
