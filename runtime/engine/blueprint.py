"""A model's parts before any takes memory: where each lies, how its network is built, whether they go together."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from runtime.codecs.speech import NUM_BINS, STACKED, SpeechFrontEnd
from runtime.codecs.text import TextCodec, TextCodecError
from runtime.codecs.vocabulary import SPECIAL_TOKENS, Vocabulary
from runtime.engine.model_file import (
    BackboneSource,
    Dtype,
    ModelFile,
    NetworkSource,
    Source,
    find_model_file,
    located,
    read_model_file,
)
from runtime.models.backbone import Backbone, BackboneConfig
from runtime.models.checkpoints import (
    CheckpointError,
    Examination,
    built_without_weights,
    examine,
    fill,
    read_weights,
)
from runtime.models.compact_voice import CompactVoice, CompactVoiceConfig
from runtime.models.config_files import checked
from runtime.models.image_tokenizer import ImageTokenizer, ImageTokenizerConfig
from runtime.models.published import (
    published_backbone,
    published_image_tokenizer,
    published_speech_decoder,
    published_speech_encoder,
    published_speech_tokenizer,
)
from runtime.models.speech_decoder import SpeechDecoderConfig
from runtime.models.speech_encoder import SpeechEncoderConfig
from runtime.models.speech_flow.flow import SpeechFlow
from runtime.models.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig
from runtime.models.vocoder import Vocoder
from runtime.models.weight_files import WeightSurvey, one_line, survey_weights

Network = TypeVar("Network", bound=nn.Module)

WEIGHTS = ("*.safetensors", "*.bin", "*.pt")
VOCABULARY = ("tokenizer.json", "vocab.json", "merges.txt")
CMVN = "am.mvn"
ROW_VALUES = STACKED * NUM_BINS  # of speech features
FLOW_FILES, VOCODER_FILES = ("flow.pt", "flow.safetensors"), ("hift.pt", "hift.safetensors")


@dataclass(frozen=True)
class NetworkPart(Generic[Network]):
    """A network and where its weights lie.

    build: makes the network. dtype: of the weights in memory, None as they are stored. allow_mixed: whether the stored
    ones may differ among themselves. misfits: what keeps the part from going with the rest of the model.
    """

    name: str
    source: Path
    build: Callable[[], Network]
    dtype: torch.dtype | None
    allow_mixed: bool
    misfits: tuple[str, ...]

    @cached_property
    def network(self) -> Network:
        """Without memory for its weights until they are loaded. Raises CheckpointError."""
        try:
            return built_without_weights(self.build)
        except Exception as error:  # sizes that do not divide, sizes of nothing
            raise CheckpointError(
                f"{self.source}: no network can be built of its sizes ({one_line(error)}). Correct the config."
            ) from error

    @cached_property
    def survey(self) -> WeightSurvey:
        return survey_weights(self.source)

    def examine(self) -> Examination:
        """All that keeps the part from being loaded stands in its problems."""
        found = examine(self.network, self.survey, self.dtype, allow_mixed=self.allow_mixed)
        return replace(found, problems=(*self.misfits, *found.problems))

    def load(self) -> Network:
        """The network with its weights, in eval mode; `examine` must have found no problems."""
        fill(self.network, self.survey, self.dtype)
        return self.network.eval()


@dataclass(frozen=True)
class Blueprint:
    """A model file and what it leads to. Whatever does not fit raises CheckpointError when its part is asked for.

    path: of the model file. download: whether parts may be fetched from the hub.
    """

    path: Path
    file: ModelFile
    download: bool

    @classmethod
    def read(cls, path: Path, *, download: bool = True) -> "Blueprint":
        """path: a model file, or the folder of one."""
        found = find_model_file(path)
        return cls(found, read_model_file(found), download)

    @property
    def vocabulary(self) -> Vocabulary:
        return self.file.ids

    def networks(self) -> Iterator[tuple[str, Callable[[], NetworkPart[Any]]]]:
        """Name and finder of each network."""
        yield "backbone", self.backbone
        yield "image_tokenizer", self.image_tokenizer
        if self.file.parts.speech_tokenizer is not None:
            yield "speech_tokenizer", self.speech_tokenizer
        if self.file.parts.speech_decoder is not None:
            yield "speech_flow", self.speech_flow
            yield "vocoder", self.vocoder
        if self.file.parts.voice is not None:
            yield "voice", self.voice

    def backbone(self) -> NetworkPart[Backbone]:
        given = self.file.parts.backbone
        source, path = self._network("backbone", given)
        ears = given.speech_encoder if isinstance(given, BackboneSource) else {}
        if path.is_dir():
            config, speech = published_backbone(path, source.config), published_speech_encoder(path, ears)
        else:
            config = checked(source.config, BackboneConfig, self._field("backbone: config"))
            speech = checked(ears, SpeechEncoderConfig, self._field("backbone: speech_encoder"))
        named = source.dtype or self.file.dtype
        misfits = (*self._vocabulary_misfits(config.vocab_size), *self._hearing_misfits(speech))
        return self._part("backbone", path, partial(Backbone, config, speech), named, misfits)

    def image_tokenizer(self) -> NetworkPart[ImageTokenizer]:
        source, path = self._network("image_tokenizer", self.file.parts.image_tokenizer)
        if path.is_dir():
            config = published_image_tokenizer(path, source.config)
        else:
            config = checked(source.config, ImageTokenizerConfig, self._field("image_tokenizer: config"))
        misfits = self._picture_misfits(config)
        return self._part("image_tokenizer", path, partial(ImageTokenizer, config), source.dtype, misfits)

    def speech_tokenizer(self) -> NetworkPart[SpeechTokenizer]:
        source, path = self._network("speech_tokenizer", self.file.parts.speech_tokenizer)
        if path.is_dir():
            config = published_speech_tokenizer(path, source.config)
        else:
            config = checked(source.config, SpeechTokenizerConfig, self._field("speech_tokenizer: config"))
        misfits = self._speech_misfits("tokenizer", config.quantize_vocab_size)
        return self._part("speech_tokenizer", path, partial(SpeechTokenizer, config), source.dtype, misfits)

    def speech_flow(self) -> NetworkPart[SpeechFlow]:
        folder, config, dtype = self._speech_decoder()
        misfits = self._speech_misfits("decoder", config.flow.vocab_size)
        return self._part("speech_flow", _first(folder, FLOW_FILES), partial(SpeechFlow, config.flow), dtype, misfits)

    def vocoder(self) -> NetworkPart[Vocoder]:
        folder, config, dtype = self._speech_decoder()
        return self._part("vocoder", _first(folder, VOCODER_FILES), partial(Vocoder, config.vocoder), dtype, ())

    def voice(self) -> NetworkPart[CompactVoice]:
        source, path = self._network("voice", self.file.parts.voice)
        config = checked(source.config, CompactVoiceConfig, self._field("voice: config"))
        misfits = (*self._speech_misfits("voice", config.codec.num_codes), *self._saying_misfits(config))
        return self._part("voice", path, partial(CompactVoice, config), source.dtype, misfits)

    def front_end_file(self) -> Path:
        path = self._located("speech_front_end", self.file.parts.speech_front_end, (CMVN,))
        return path / CMVN if path.is_dir() else path

    def front_end(self) -> SpeechFrontEnd:
        path = self.front_end_file()
        shift, scale = _stored_normalisation(path) if path.suffix == ".safetensors" else _published_normalisation(path)
        if shift.shape != (ROW_VALUES,):
            raise CheckpointError(
                f"{path}: normalises {len(shift)} values, a row of speech features has {ROW_VALUES}. "
                "Take the front end that came with the model."
            )
        return SpeechFrontEnd(shift, scale, self.file.speech_level)

    def text_file(self) -> Path:
        return self._located("text", self.file.parts.text, VOCABULARY)

    def text(self) -> TextCodec:
        path = self.text_file()
        try:
            text = TextCodec.load(path)
        except TextCodecError as error:
            raise CheckpointError(one_line(error)) from error
        first, stop = self.vocabulary.text
        if text.num_tokens != stop - first:
            raise CheckpointError(
                f"{path}: has {text.num_tokens} tokens, the vocabulary gives text {stop - first} ids. "
                "Take the text vocabulary that came with the model."
            )
        return text

    def _speech_decoder(self) -> tuple[Path, SpeechDecoderConfig, Dtype | None]:
        source, folder = self._network("speech_decoder", self.file.parts.speech_decoder)
        if not folder.is_dir():
            raise CheckpointError(
                f"{folder}: no folder; a speech decoder is one, with {FLOW_FILES[0]} and {VOCODER_FILES[0]}."
            )
        return folder, published_speech_decoder(folder, source.config), source.dtype

    def _network(self, name: str, given: str | NetworkSource | None) -> tuple[NetworkSource, Path]:
        """What the model file says of a part it has, and where that lies."""
        assert given is not None
        source = NetworkSource() if isinstance(given, str) else given
        return source, self._located(name, given, WEIGHTS)

    def _located(self, name: str, source: str | Source, needs: tuple[str, ...]) -> Path:
        try:
            return located(source, self.path.parent, needs, download=self.download)
        except CheckpointError as error:
            raise CheckpointError(f"{self._field(name)}: {error}") from error

    def _field(self, name: str) -> str:
        return f"{self.path}: parts: {name}"

    def _part(
        self, name: str, path: Path, build: Callable[[], Network], named: Dtype | None, misfits: Iterable[str]
    ) -> NetworkPart[Network]:
        """named: the dtype the model file asks for; where it asks for none, a codec's network computes in float32."""
        wanted = None if named == "auto" else getattr(torch, named or "float32")
        return NetworkPart(name, path, build, wanted, named not in (None, "auto"), tuple(misfits))

    def _vocabulary_misfits(self, rows: int) -> Iterator[str]:
        missing = [name for name in SPECIAL_TOKENS if name not in self.vocabulary.special]
        if missing:
            yield f"{self.path}: vocabulary: special: {', '.join(missing)} are missing."
        if rows != len(self.vocabulary):
            yield (
                f"{self.path}: the backbone has embeddings for {rows} tokens, the vocabulary has "
                f"{len(self.vocabulary)}. Give the vocabulary that the model was trained with."
            )

    def _hearing_misfits(self, speech: SpeechEncoderConfig) -> Iterator[str]:
        if speech.input_size != ROW_VALUES:
            yield (
                f"{self.path}: the speech encoder takes rows of {speech.input_size} values, the front end gives "
                f"{ROW_VALUES}. Correct its input_size."
            )

    def _picture_misfits(self, config: ImageTokenizerConfig) -> Iterator[str]:
        first, stop = self.vocabulary.image
        if config.num_codes != stop - first:
            yield (
                f"{self.path}: the image tokenizer has {config.num_codes} codes, the vocabulary gives pictures "
                f"{stop - first} ids. Take tokenizer and backbone from one model."
            )
        sizes = self.file.image_sizes
        for size in {sizes.prompt, sizes.answer}:
            if size <= 0 or size % config.downsampling:
                yield f"{self.path}: image_size_px {size} is no multiple of {config.downsampling}, a code's pixels."

    def _saying_misfits(self, config: CompactVoiceConfig) -> Iterator[str]:
        first, stop = self.vocabulary.text
        if config.text_tokens != stop - first:
            yield (
                f"{self.path}: the voice knows how long {config.text_tokens} text tokens last, the vocabulary has "
                f"{stop - first}. Take the voice that was made for this text vocabulary."
            )
        if self.file.parts.speech_decoder is not None:
            yield f"{self.path}: parts: voice and speech_decoder both make speech heard. Name one of them."

    def _speech_misfits(self, what: str, codes: int) -> Iterator[str]:
        first, stop = self.vocabulary.speech
        if codes != stop - first:
            yield (
                f"{self.path}: the speech {what} has {codes} codes, the vocabulary gives speech {stop - first} ids. "
                "Take it from the model that the backbone was trained with."
            )


def _first(folder: Path, names: tuple[str, ...]) -> Path:
    """The first of the files that is there, or the one that ought to be."""
    return next((folder / name for name in names if (folder / name).is_file()), folder / names[0])


def _published_normalisation(path: Path) -> tuple[Tensor, Tensor]:
    try:
        front_end = SpeechFrontEnd.from_mvn(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: {one_line(error)}. Restore the am.mvn that came with the model.") from error
    return front_end.shift, front_end.scale


def _stored_normalisation(path: Path) -> tuple[Tensor, Tensor]:
    stored = read_weights(path)
    if stored.keys() != {"shift", "scale"} or stored["shift"].shape != stored["scale"].shape:
        raise CheckpointError(f"{path}: holds {', '.join(stored)} instead of shift and scale of equal length.")
    return stored["shift"].float(), stored["scale"].float()
