"""The model file: `model.json` or `model.yaml`, which names the parts of a model. runtime/models/README.md tells its
fields."""

import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from runtime.codecs.vocabulary import Vocabulary
from runtime.engine.recipe import Fidelity
from runtime.engine.rules import Explained, FollowUps, Spelled, Unsure, Wording
from runtime.models.config_files import checked, read_fields
from runtime.models.hub import hub_folder
from runtime.models.weight_files import INDEX, CheckpointError

MODEL_FILES = ("model.json", "model.yaml", "model.yml")
HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a part lies: a file or folder beside the model file, or a repository of the hub, at a revision."""

    path: str | None = None
    hub: str | None = None
    revision: str | None = None


class NetworkSource(Source, frozen=True, omit_defaults=True):
    """config: sizes; of a published part only those that are to differ. dtype: that its weights are converted to."""

    config: dict[str, Any] = {}
    dtype: Dtype | None = None


class BackboneSource(NetworkSource, frozen=True, omit_defaults=True):
    """speech_encoder: sizes of the speech encoder inside, like config."""

    speech_encoder: dict[str, Any] = {}


class Parts(msgspec.Struct, frozen=True, omit_defaults=True):
    """A plain string is a path, or a hub id if nothing lies there.

    A model speaks with a speech_decoder, of the published kind, or with a voice, the embedded model's.
    """

    backbone: str | BackboneSource
    image_tokenizer: str | NetworkSource
    speech_front_end: str | Source
    text: str | Source
    speech_tokenizer: str | NetworkSource | None = None
    speech_decoder: str | NetworkSource | None = None
    voice: str | NetworkSource | None = None


class ImageSizes(msgspec.Struct, frozen=True):
    """Sides of square pictures in pixels, as they come and as they are drawn."""

    prompt: int
    answer: int


class ModelFile(msgspec.Struct, frozen=True):
    """What the file holds.

    image_size_px: one number for both. speech_level: RMS speech is brought to, null for as it comes.
    dtype: of the backbone; the codecs' networks are float32 unless their part says otherwise.
    unsure: what is said where the model does not know, as it suits these weights. explained, spelled: what answers are
    held against. follow_ups: how wishes about the last picture are put in full. wordings:
    other ways to say what it knows; the first that fits counts.
    """

    name: str
    parts: Parts
    vocabulary: Literal["published"] | Vocabulary
    image_size_px: int | ImageSizes
    speech_level: float | None = None
    dtype: Dtype = "auto"
    fidelity: Fidelity = "corrected"
    unsure: Unsure | None = None
    explained: Explained | None = None
    spelled: Spelled | None = None
    follow_ups: FollowUps | None = None
    wordings: tuple[Wording, ...] = ()

    @property
    def ids(self) -> Vocabulary:
        return Vocabulary.published() if isinstance(self.vocabulary, str) else self.vocabulary

    @property
    def image_sizes(self) -> ImageSizes:
        size = self.image_size_px
        return ImageSizes(size, size) if isinstance(size, int) else size


def find_model_file(path: Path) -> Path:
    """The model file of a folder; a file stands for itself."""
    if path.is_file():
        return path
    for name in MODEL_FILES:
        if (path / name).is_file():
            return path / name
    if looks_published(path):
        raise CheckpointError(
            f"{path}: no model.json here (nor model.yaml), but it looks like a published backbone. "
            f"Write this as {path / 'model.json'}, or elsewhere with the paths changed:\n{template(path)}"
        )
    raise CheckpointError(
        f"{path}: no model.json here (nor model.yaml), so it is no model folder. "
        "Give the folder of a model, or its model file."
    )


def read_model_file(path: Path) -> ModelFile:
    """path: of the file itself. Raises CheckpointError."""
    return checked(read_fields(path), ModelFile, str(path))


def looks_published(folder: Path) -> bool:
    weights = ("model.safetensors", f"model.safetensors{INDEX}")
    return (folder / "config.json").is_file() and any((folder / name).is_file() for name in weights)


def template(folder: Path) -> str:
    """A model file for the published model, to lie in its backbone's folder."""
    file = ModelFile(
        name=folder.resolve().name,
        parts=Parts(
            backbone=".",
            image_tokenizer="showlab/magvitv2",
            speech_front_end="am.mvn" if (folder / "am.mvn").is_file() else "FunAudioLLM/SenseVoiceSmall",
            text=".",
            speech_tokenizer="THUDM/glm-4-voice-tokenizer",
            speech_decoder="THUDM/glm-4-voice-decoder",
        ),
        vocabulary="published",
        image_size_px=ImageSizes(prompt=512, answer=256),
        dtype="bfloat16",
    )
    return msgspec.json.format(msgspec.json.encode(file), indent=2).decode()


def located(source: str | Source, beside: Path, needs: tuple[str, ...], *, download: bool) -> Path:
    """The part's file or folder. beside: folder of the model file. needs, download: as in `hub_folder`."""
    if isinstance(source, Source):
        return _chosen(source, beside, needs, download=download)
    path = beside / Path(source).expanduser()
    if path.exists() or not HUB_ID.fullmatch(source):
        return _existing(path)
    return hub_folder(source, needs, download=download)


def _chosen(source: Source, beside: Path, needs: tuple[str, ...], *, download: bool) -> Path:
    if (source.path is None) == (source.hub is None):
        raise CheckpointError("a part names either its path or its hub id; correct the model file.")
    if source.path is not None:
        return _existing(beside / Path(source.path).expanduser())
    assert source.hub is not None
    return hub_folder(source.hub, needs, revision=source.revision, download=download)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise CheckpointError(f"{path}: no such file or folder. The model is incomplete; copy or train it again.")
    return path
