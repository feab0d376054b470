"""A whole model as the engine uses it: networks, codecs, vocabulary and recipes, read as its model file says."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from runtime.codecs.compact_voice import CompactVoiceCodec
from runtime.codecs.speech import SpeechFrontEnd
from runtime.codecs.speech_stream import StreamingSpeechDecoder
from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import Vocabulary
from runtime.engine.blueprint import Blueprint, NetworkPart
from runtime.engine.model_file import BackboneSource, ModelFile, NetworkSource, Parts
from runtime.engine.narration import Narrator, Timing
from runtime.engine.preview import Voice
from runtime.engine.prompt import COMPACT_CHAT, PUBLISHED_CHAT, REFERENCE_CHAT, ChatStyle
from runtime.engine.recipe import EMBEDDED_RECIPES, PUBLISHED_RECIPES, SPEAKING_RECIPES, Fidelity, Recipe
from runtime.engine.rules import Explained, FollowUps, Spelled, Unsure, Wording
from runtime.models.backbone import Backbone
from runtime.models.checkpoints import CheckpointError, refuse, save_weights, write_tensors
from runtime.models.compact_voice import CompactVoice
from runtime.models.image_tokenizer import ImageTokenizer
from runtime.models.memory import available_bytes
from runtime.models.speech_encoder import SpeechEncoderConfig
from runtime.models.speech_tokenizer import SpeechTokenizer

MODEL_FILE, TEXT_FILE = "model.json", "tokenizer.json"
BACKBONE_FILE, IMAGE_FILE = "backbone.safetensors", "image_tokenizer.safetensors"
FRONT_END_FILE, VOICE_FILE = "speech_front_end.safetensors", "voice.safetensors"
EMBEDDED = Path(__file__).parent.parent / "embedded"


@dataclass(frozen=True)
class OmniModel:
    """Everything a response needs; networks are in eval mode.

    image_size_px: side of the pictures it draws. prompt_image_size_px: side of those it reads, if another.
    voice: what makes its speech codes heard, if it speaks. timing: how long its words last, if it knows.
    speech_tokenizer: what makes speech codes of clips, if it has one; answering takes none.
    fidelity: "reference" answers exactly as the published code does, habits and all.
    unsure: what the recipes say where it does not know; they are told it when the model is loaded.
    explained, spelled: what answers about pictures, and what is heard, are held against. follow_ups: how wishes about
    the last picture are put in full. wordings: other ways to say what it knows.
    """

    name: str
    backbone: Backbone
    image_tokenizer: ImageTokenizer
    vocabulary: Vocabulary
    text: TextCodec
    front_end: SpeechFrontEnd
    recipes: Mapping[str, Recipe]
    image_size_px: int
    prompt_image_size_px: int | None = None
    chat: ChatStyle = COMPACT_CHAT
    voice: Voice | None = None
    timing: Timing | None = None
    speech_tokenizer: SpeechTokenizer | None = None
    fidelity: Fidelity = "corrected"
    unsure: Unsure | None = None
    explained: Explained | None = None
    spelled: Spelled | None = None
    follow_ups: FollowUps | None = None
    wordings: tuple[Wording, ...] = ()

    @property
    def narrator(self) -> Narrator | None:
        return None if self.timing is None else Narrator(self.timing, self.vocabulary, self.text)

    @property
    def published(self) -> bool:
        """Whether it speaks the published chat, of many turns."""
        return self.chat.ends_inside

    @property
    def image_grid(self) -> tuple[int, int]:
        """Rows and columns of a picture's codes."""
        side = self.image_size_px // self.image_tokenizer.config.downsampling
        return side, side


def load_model(path: Path = EMBEDDED, device: str = "cpu") -> OmniModel:
    """Read a model. path: its model file, or the folder that holds it. device: where its networks are to run.

    Raises CheckpointError, before weights take any memory, naming the file, what is wrong and what to do.
    """
    blueprint = Blueprint.read(path)
    parts = {name: find() for name, find in blueprint.networks()}
    front_end, text = blueprint.front_end(), blueprint.text()
    check(list(parts.values()))
    place = torch_device(device)
    file, sizes = blueprint.file, blueprint.file.image_sizes
    recipes = _recipes(file)
    _check_explained(file.explained, recipes)
    networks = {name: part.load().to(place) for name, part in parts.items()}
    _check_spelled(file.spelled, networks["backbone"].model.audio_model.model.config)
    return OmniModel(
        name=file.name,
        backbone=networks["backbone"],
        image_tokenizer=networks["image_tokenizer"].to(memory_format=torch.channels_last),
        vocabulary=blueprint.vocabulary,
        text=text,
        front_end=front_end,
        recipes=recipes,
        image_size_px=sizes.answer,
        prompt_image_size_px=sizes.prompt,
        chat=_chat(file),
        voice=_voice(networks),
        timing=_timing(networks["voice"]) if "voice" in networks else None,
        speech_tokenizer=networks.get("speech_tokenizer"),
        fidelity=file.fidelity,
        unsure=file.unsure,
        explained=file.explained,
        spelled=file.spelled,
        follow_ups=file.follow_ups,
        wordings=file.wordings,
    )


def _recipes(file: ModelFile) -> Mapping[str, Recipe]:
    if file.vocabulary == "published":
        recipes = PUBLISHED_RECIPES
    else:
        recipes = EMBEDDED_RECIPES if file.parts.voice is None else SPEAKING_RECIPES
    return recipes if file.unsure is None else doubting(recipes, file.unsure)


def doubting(recipes: Mapping[str, Recipe], unsure: Unsure) -> dict[str, Recipe]:
    """The recipes with what is said where the model does not know. Raises CheckpointError."""
    strangers = [name for name in unsure.recipes if name not in recipes]
    if strangers:
        raise CheckpointError(
            f"unsure: recipes: this model has no {', '.join(strangers)}; it has {', '.join(recipes)}. "
            "Correct the model file."
        )
    return {name: _doubting(one, unsure) if name in unsure.recipes else one for name, one in recipes.items()}


def _check_explained(explained: Explained | None, recipes: Mapping[str, Recipe]) -> None:
    """Raises CheckpointError if it names a recipe that there is not."""
    names = () if explained is None else (*explained.recipes, explained.reads, explained.draws)
    strangers = sorted({name for name in names if name not in recipes})
    if strangers:
        raise CheckpointError(
            f"explained: this model has no recipe {', '.join(strangers)}; it has {', '.join(recipes)}. "
            "Correct the model file."
        )


def _check_spelled(spelled: Spelled | None, encoder: SpeechEncoderConfig) -> None:
    """Raises CheckpointError if the letters are not those of the encoder's CTC head."""
    if spelled is not None and len(spelled.letters) != encoder.ctc_vocab:
        raise CheckpointError(
            f"spelled: letters: {len(spelled.letters)} came, and the speech encoder tells {encoder.ctc_vocab} apart; "
            "name each of them once, the blank first. Correct the model file."
        )


def _doubting(recipe: Recipe, unsure: Unsure) -> Recipe:
    """What was heard is not in doubt: it is written down as it was understood."""
    slots = (
        replace(slot, unsure=unsure.says, unsure_margin=unsure.margin)
        if slot.modality == "text" and not slot.stands_for_speech
        else slot
        for slot in recipe.slots
    )
    return replace(recipe, slots=tuple(slots))


def _voice(networks: Mapping[str, Any]) -> Voice | None:
    if "voice" in networks:
        return CompactVoiceCodec(networks["voice"])
    return StreamingSpeechDecoder(networks["speech_flow"], networks["vocoder"]) if "vocoder" in networks else None


def _timing(voice: CompactVoice) -> Timing:
    before, behind = voice.silence.tolist()
    return Timing(voice.durations.detach().cpu(), (before, behind))


def torch_device(name: str) -> torch.device:
    """Raises CheckpointError for a device that torch does not know or that is not here."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CheckpointError(
            f"device {name!r} cannot be used ({str(error).splitlines()[0]}); cpu always can, cuda where there is a GPU "
            "and a torch built for it"
        ) from error
    return device


def _chat(file: ModelFile) -> ChatStyle:
    if file.vocabulary != "published":
        return COMPACT_CHAT
    return REFERENCE_CHAT if file.fidelity == "reference" else PUBLISHED_CHAT


def check(parts: Sequence[NetworkPart[Any]], available: int | None = None) -> None:
    """Raises CheckpointError if the weights do not fit their networks, or together take more memory than there is.

    available: bytes; None asks the system, and where that does not tell nothing is refused.
    """
    found = [part.examine() for part in parts]
    refuse([problem for examination in found for problem in examination.problems])
    needed = sum(examination.memory_bytes for examination in found)
    left = available_bytes() if available is None else available
    if left is not None and needed > left:
        raise CheckpointError(
            f"{parts[0].source}: the weights take {needed / 1e9:.1f} GB and {left / 1e9:.1f} GB of memory are free. "
            "Name a smaller dtype in the model file, end other programs, or take a machine with more memory."
        )


def save_model(model: OmniModel, folder: Path, speech_encoder: SpeechEncoderConfig) -> None:
    """Write a model folder that `load_model` reads: half precision on disk, float32 in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    voice = model.voice.network if isinstance(model.voice, CompactVoiceCodec) else None
    backbone, tokenizer = asdict(model.backbone.config), asdict(model.image_tokenizer.config)
    file = ModelFile(
        name=model.name,
        parts=Parts(
            backbone=BackboneSource(path=BACKBONE_FILE, config=backbone, speech_encoder=asdict(speech_encoder)),
            image_tokenizer=NetworkSource(path=IMAGE_FILE, config=tokenizer),
            speech_front_end=FRONT_END_FILE,
            text=TEXT_FILE,
            voice=NetworkSource(path=VOICE_FILE, config=asdict(voice.config)) if voice is not None else None,
        ),
        vocabulary=model.vocabulary,
        image_size_px=model.image_size_px,
        speech_level=model.front_end.level,
        dtype="float32",
        unsure=model.unsure,
        explained=model.explained,
        spelled=model.spelled,
        follow_ups=model.follow_ups,
        wordings=model.wordings,
    )
    (folder / MODEL_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")
    model.text.save(folder / TEXT_FILE)
    save_weights(model.backbone, folder / BACKBONE_FILE)
    save_weights(model.image_tokenizer, folder / IMAGE_FILE)
    if voice is not None:
        save_weights(voice, folder / VOICE_FILE)
    write_tensors({"shift": model.front_end.shift, "scale": model.front_end.scale}, folder / FRONT_END_FILE)
