"""Admission: a request becomes canvases, or is refused with a sentence that says why."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.codecs.compact_voice import CompactVoiceCodec
from runtime.codecs.image import ImageCodec
from runtime.codecs.speech_tokens import SpeechTokenCodec
from runtime.diffusion.canvas import Canvas
from runtime.diffusion.commit import COMMIT_RULES
from runtime.diffusion.confidence import ConfidenceRule
from runtime.diffusion.mask_schedule import Schedule
from runtime.diffusion.reference import ReferenceDecoding
from runtime.engine import edits
from runtime.engine.given import Encoders, Given, GivenSpeech, GivenText, as_edits, num_positions, without_ends
from runtime.engine.grounds import Grounds
from runtime.engine.hearing import Hearing, hearing_of
from runtime.engine.model import OmniModel
from runtime.engine.preview import grid
from runtime.engine.prompt import NOTHING_SAID, Content, EncodedImage, EncodedSpeech, EncodedTurn, lay_out, settled
from runtime.engine.recipe import PROMPT, Recipe, SlotRecipe
from runtime.engine.reference import ReferencePrompt
from runtime.engine.reference_response import UNCHANGEABLE, reference_rule, shown_canvas
from runtime.engine.request import GenerationRequest, ImagePart, Part, SpeechPart, TextPart, Turn
from runtime.engine.steering import Laid
from runtime.engine.truncation import truncated

SPEECH_ROW_MS = 60
SLOT_EDGES = 8  # positions around a slot, and around the whole answer, at most
NAMES: Mapping[type[Part], str] = {SpeechPart: "speech", ImagePart: "picture"}
CACHED_BYTES = 32 * 2**20  # of encoded speech and of pictures: a conversation's earlier turns are not encoded again
KEPT_BYTES = 64 * 2**10  # what keeping anything costs: around a small tensor memory is left that nobody else can use


class AdmissionError(ValueError):
    """A request that cannot be answered: what came, what is allowed, what to do."""


@dataclass(frozen=True)
class Admitted:
    """A request laid out.

    recipe: with the lengths it gets for this conversation. canvas: what is to be filled. unprompted: the same slots
    with nothing said, if the recipe is guided. reference: where the model answers as the published code does.
    hearing: how what is said is read once it is written down. grounds: what its texts can be held against.
    """

    recipe: Recipe
    canvas: Canvas
    unprompted: Canvas | None
    reference: tuple[ReferencePrompt, ReferenceDecoding] | None = None
    hearing: Hearing | None = None
    grounds: Grounds | None = None


class Admission:
    """Encodes the turns of requests and lays them out.

    max_positions: length of the longest canvas that is taken.
    """

    def __init__(self, model: OmniModel, image: ImageCodec, max_positions: int) -> None:
        self._model, self._image, self._max_positions = model, image, max_positions
        self._encoders = Encoders(model.vocabulary, model.text, image.encode, *_speech_encoder(model))
        self._speech_cache: _Cache[EncodedSpeech] = _Cache(
            CACHED_BYTES, lambda speech: KEPT_BYTES + speech.embeddings.nbytes
        )
        self._image_cache: _Cache[EncodedImage] = _Cache(CACHED_BYTES, lambda image: KEPT_BYTES + image.codes.nbytes)

    def admit(self, request: GenerationRequest) -> Admitted:
        """Raises AdmissionError, ImageError."""
        self._check_recipe(request.recipe, request.turns)
        _check_pace(request)
        turns = [EncodedTurn(turn.role, tuple(map(self._encode, turn.parts))) for turn in request.turns]
        turns = self._truncated(turns, request)
        recipe = self._roomy(self._settled(turns, request), request.given)
        if self._model.fidelity == "reference":
            if request.given or recipe.tail or any(slot.lead or slot.choices for slot in recipe.slots):
                raise AdmissionError(UNCHANGEABLE)
            return self._admit_reference(turns, recipe)
        canvas = self._with_given(self._narrated(self._lay_out(turns, recipe), recipe), request.given)
        canvas = self._narrated(canvas, recipe)  # words may have been given
        self._check_length(len(canvas))
        guided = any(slot.guidance_scale for slot in recipe.slots)
        unprompted = self._lay_out(NOTHING_SAID, recipe) if guided else None
        hearing = hearing_of(turns, recipe, self._lay_out, self._model.text)
        return Admitted(recipe, canvas, unprompted, hearing=hearing, grounds=self._grounds(turns, recipe, hearing))

    def _grounds(self, turns: Sequence[EncodedTurn], recipe: Recipe, hearing: Hearing | None) -> Grounds:
        return Grounds(self._model, turns, recipe, self._lay_out, hearing)

    def lay_out_again(self, before: Sequence[Turn], turns: tuple[Turn, ...], recipe: Recipe) -> Laid:
        """An answer's slots, `recipe`'s, behind other turns than those `before`. Raises AdmissionError, ImageError."""
        for kind in (SpeechPart, ImagePart):
            if _holds(before, kind) != _holds(turns, kind):
                raise AdmissionError(
                    f"the answer rests on {'' if _holds(before, kind) else 'no '}{NAMES[kind]}, and what came to steer "
                    f"it holds {'none' if _holds(before, kind) else 'some'}; send the same kinds, or ask anew"
                )
        self._check_recipe(recipe, turns)
        encoded = [EncodedTurn(turn.role, tuple(map(self._encode, turn.parts))) for turn in turns]
        canvas = self._lay_out(encoded, recipe)
        self._check_length(len(canvas))
        # Words beside the speech are the request now, whatever was said before.
        hearing = None if written(turns) else hearing_of(encoded, recipe, self._lay_out, self._model.text)
        return Laid(self._narrated(canvas, recipe), hearing, self._grounds(encoded, recipe, hearing))

    def _settled(self, turns: Sequence[EncodedTurn], request: GenerationRequest) -> Recipe:
        recipe = settled(turns, request.recipe, self._model.text, self._model.chat)
        narrator = self._model.narrator
        return recipe if narrator is None else narrator.settled(recipe, written(request.turns))

    def _narrated(self, canvas: Canvas, recipe: Recipe) -> Canvas:
        narrator = self._model.narrator
        return canvas if narrator is None else narrator.laid(canvas, recipe)

    def _truncated(self, turns: list[EncodedTurn], request: GenerationRequest) -> list[EncodedTurn]:
        """As much of the conversation as leaves room for its answer."""
        style, text = self._model.chat, self._model.text
        answer = self._settled(turns, request).slots
        room = self._max_positions - sum(slot.length + SLOT_EDGES for slot in answer)
        return truncated(turns, room, request.truncation, text, style)

    def _with_given(self, canvas: Canvas, given: Sequence[Given]) -> Canvas:
        laid = as_edits(canvas, given, self._encoders)
        return without_ends(edits.apply(canvas, laid), given)

    def _roomy(self, recipe: Recipe, given: Sequence[Given]) -> Recipe:
        """With slots as long as what is given for them needs; one that says given words, as long as its recording."""
        wanted = {part.slot: part for part in given if isinstance(part, GivenText | GivenSpeech)}
        slots = (self._holding(slot, wanted[slot.name]) if slot.name in wanted else slot for slot in recipe.slots)
        return replace(recipe, slots=tuple(slots)) if wanted else recipe

    def _holding(self, slot: SlotRecipe, given: GivenText | GivenSpeech) -> SlotRecipe:
        needed = num_positions(given, self._encoders)
        if isinstance(given, GivenSpeech) and slot.says is not None:
            return replace(slot, length=needed, recorded=self._encoders.recorded(given))
        return replace(slot, length=max(slot.length, needed))

    def _admit_reference(self, turns: Sequence[EncodedTurn], recipe: Recipe) -> Admitted:
        vocabulary, alone = self._model.vocabulary, replace(recipe, slots=())
        row, rule = self._lay_out(turns, alone), reference_rule(recipe, vocabulary)
        unprompted = self._lay_out(NOTHING_SAID, alone).token_ids if rule.guidance_scale else None
        prompt = ReferencePrompt(row.token_ids, row.speech, unprompted)
        decoding = prompt.begin(rule, vocabulary.mask_id)
        self._check_length(len(decoding.token_ids))
        return Admitted(recipe, shown_canvas(row, recipe, decoding, vocabulary), None, (prompt, decoding))

    def _lay_out(self, turns: Sequence[EncodedTurn], recipe: Recipe) -> Canvas:
        return lay_out(turns, recipe, self._model.vocabulary, self._model.text, self._model.chat)

    def _check_recipe(self, recipe: Recipe, turns: tuple[Turn, ...]) -> None:
        if not recipe.slots:
            raise AdmissionError(f"recipe {recipe.name!r} has no slots; a response needs one at least")
        names = [slot.name for slot in recipe.slots]
        if len(set(names)) < len(names):
            raise AdmissionError(f"the slots of recipe {recipe.name!r} are {', '.join(names)}; give each its own name")
        spoken = any(isinstance(part, SpeechPart) for turn in turns for part in turn.parts)
        for slot in recipe.slots:
            if slot.length < 1 or slot.steps < 1:
                raise AdmissionError(
                    f"slot {slot.name!r} has length {slot.length} and {slot.steps} steps; both must be 1 or more"
                )
            self._check_words(recipe, slot, turns)
            if slot.position_stride is not None and not spoken:
                raise AdmissionError(
                    f"recipe {recipe.name!r} lays its slot {slot.name!r} along speech, but nothing was spoken; "
                    "add speech or choose a recipe without that slot"
                )
            _check_numbers(slot)
        self._check_slots(recipe)

    def _check_words(self, recipe: Recipe, slot: SlotRecipe, turns: Sequence[Turn]) -> None:
        """Of a slot that says given words: whether it can, and whether there are any."""
        if slot.says is None:
            return
        what = f"slot {slot.name!r} of recipe {recipe.name!r}"
        if self._model.narrator is None or slot.modality != "speech":
            raise AdmissionError(f"{what} says given words; only speech of a model with a voice can")
        before = [earlier.name for earlier in recipe.slots[: recipe.slots.index(slot)] if earlier.modality == "text"]
        if slot.says != PROMPT and slot.says not in before:
            raise AdmissionError(
                f"{what} says what slot {slot.says!r} says; it must be {PROMPT!r} or a text slot before it, of which "
                f"there {'is none' if not before else 'are ' + ', '.join(before)}"
            )
        if slot.says == PROMPT and not written(turns):
            raise AdmissionError(f"{what} says what the user wrote, and the last turn holds no words; send some")

    def _check_slots(self, recipe: Recipe) -> None:
        """What the model cannot write at all."""
        vocabulary = self._model.vocabulary
        ranges = {"text": vocabulary.text, "speech": vocabulary.speech, "image": vocabulary.image}
        for slot in recipe.slots:
            if slot.choices and slot.modality != "text":
                raise AdmissionError(
                    f"slot {slot.name!r} is {slot.modality} and has choices; choices are words, of a text slot"
                )
            first, stop = ranges[slot.modality]
            if stop <= first:
                raise AdmissionError(
                    f"slot {slot.name!r} asks for {slot.modality}, for which this model has no tokens; "
                    f"its recipes are {', '.join(self._model.recipes)}"
                )
            if slot.modality == "image":
                self._check_grid(slot)

    def _check_grid(self, slot: SlotRecipe) -> None:
        """A model that has learned its picture positions draws no other number of them."""
        rows, columns = grid(slot)
        learned = self._model.backbone.config.image_grid
        if learned and (rows, columns) != self._model.image_grid:
            known_rows, known_columns = self._model.image_grid
            raise AdmissionError(
                f"image slot {slot.name!r} has {rows} x {columns} positions; this model draws "
                f"{known_rows} x {known_columns}, so its length must be {known_rows * known_columns}"
            )

    def _check_length(self, num_positions: int, what: str = "the conversation and its answer take") -> None:
        if num_positions > self._max_positions:
            raise AdmissionError(
                f"{what} {num_positions} positions; at most {self._max_positions} are allowed; "
                "shorten the conversation or its media"
            )

    def _encode(self, part: Part) -> Content:
        if isinstance(part, TextPart):
            return part.text
        if isinstance(part, SpeechPart):
            key = _digest(part.pcm.tobytes(), part.sample_rate_hz)
            return self._speech_cache.get(key, lambda: self._encode_speech(part))
        key = _digest(part.pixels.tobytes(), part.pixels.shape)
        return self._image_cache.get(key, lambda: self._encode_image(part))

    @torch.inference_mode()
    def _encode_speech(self, part: SpeechPart) -> EncodedSpeech:
        if part.sample_rate_hz <= 0:
            raise AdmissionError(f"a sample rate of {part.sample_rate_hz} Hz came; it must be above 0")
        if part.pcm.ndim != 1 or not len(part.pcm) or part.pcm.dtype != np.int16:
            raise AdmissionError(
                f"speech of shape {part.pcm.shape} and type {part.pcm.dtype} came; one channel of at least one sample, "
                "int16, is needed; record again"
            )
        duration_ms = 1000 * len(part.pcm) / part.sample_rate_hz
        # Counted before the work is done: an hour of sound must not hold up the others.
        self._check_length(round(duration_ms / SPEECH_ROW_MS), f"{duration_ms / 1000:.1f} s of speech take")
        rows, spelled = self._hear(part.pcm, part.sample_rate_hz), self._model.spelled
        embeddings = self._model.backbone.model.audio_projection(rows)
        if spelled is None:
            return EncodedSpeech(embeddings)
        slowly = self._hear(part.pcm, round(part.sample_rate_hz * spelled.tempo))
        return EncodedSpeech(embeddings, self._model.backbone.spell(slowly))

    def _hear(self, pcm: NDArray[np.int16], sample_rate_hz: int) -> Tensor:
        """What the speech encoder makes of it: (rows, encoder width)."""
        features = self._model.front_end(pcm, sample_rate_hz)
        if self._model.fidelity == "reference":
            features = features.bfloat16().float()
        heard, lengths = self._model.backbone.hear(features[None], torch.tensor([len(features)]))
        return heard[0, : int(lengths[0])]

    def _encode_image(self, part: ImagePart) -> EncodedImage:
        return EncodedImage(self._image.encode(part.pixels, self._model.prompt_image_size_px))


def written(turns: Sequence[Turn]) -> str:
    """The words of the last turn."""
    return " ".join(part.text for part in turns[-1].parts if isinstance(part, TextPart)).strip() if turns else ""


def _speech_encoder(model: OmniModel) -> tuple[Callable[[NDArray[np.int16], int], Tensor] | None, float]:
    """What makes speech codes of sound, and the seconds a code sounds."""
    if isinstance(model.voice, CompactVoiceCodec):
        return model.voice.encode, 1 / model.voice.codes_per_second
    if model.speech_tokenizer is None:
        return None, 0.0
    codec = SpeechTokenCodec(model.speech_tokenizer)
    return codec.encode, codec.code_s


def _holds(turns: Sequence[Turn], kind: type[Part]) -> bool:
    return any(isinstance(part, kind) for turn in turns for part in turn.parts)


def _check_numbers(slot: SlotRecipe) -> None:
    """What no sampler can make sense of."""
    for name, low, high in _NUMBERS:
        value = getattr(slot, name)
        if not low <= value <= high:  # what is not a number lies nowhere
            raise AdmissionError(f"slot {slot.name!r} has {name} {value}; it must lie from {low:g} to {high:g}")
    for name, known in _WORDS:
        word = getattr(slot, name)
        if word not in known:
            raise AdmissionError(f"slot {slot.name!r} has {name} {word!r}; it must be one of {', '.join(known)}")
    if not 0 < slot.top_p <= 1:
        raise AdmissionError(f"slot {slot.name!r} has top_p {slot.top_p}; it must be above 0 and at most 1 (off)")


_NUMBERS: tuple[tuple[str, float, float], ...] = (
    ("temperature", 0.0, 1e6), ("confidence_noise", 0.0, 1e6), ("prior_weight", 0.0, 1e6), ("commit_bound", 0.0, 1e6),
    ("revise_below", 0.0, 1.0),
    ("refresh_every", 1, 2**31), ("top_k", 0, 2**31), ("repeat_penalty", 1e-6, 1e6), ("position_penalty", 1e-6, 1e6),
    ("guidance_scale", 0.0, 1e6),
)  # fmt: skip
_WORDS = (
    ("schedule", get_args(Schedule)),
    ("confidence", get_args(ConfidenceRule)),
    ("commit", COMMIT_RULES),
)


def _check_pace(request: GenerationRequest) -> None:
    if request.deadline_ms is not None and request.deadline_ms <= 0:
        raise AdmissionError(f"a deadline of {request.deadline_ms} ms came; it must be above 0, or left out")
    if request.floor_steps < 1:
        raise AdmissionError(f"a floor of {request.floor_steps} steps came; it must be 1 or more")


T = TypeVar("T")


class _Cache(Generic[T]):
    """The values of the keys last asked for, up to `most_bytes` of them; the newest is kept however large it is."""

    def __init__(self, most_bytes: int, bytes_of: Callable[[T], int]) -> None:
        self._most_bytes, self._bytes_of = most_bytes, bytes_of
        self._values: OrderedDict[bytes, T] = OrderedDict()
        self._num_bytes = 0

    def get(self, key: bytes, make: Callable[[], T]) -> T:
        if key not in self._values:
            self._values[key] = value = make()
            self._num_bytes += self._bytes_of(value)
        self._values.move_to_end(key)
        while self._num_bytes > self._most_bytes and len(self._values) > 1:
            _, oldest = self._values.popitem(last=False)
            self._num_bytes -= self._bytes_of(oldest)
        return self._values[key]


def _digest(content: bytes, shape: object) -> bytes:
    return hashlib.blake2b(content + repr(shape).encode(), digest_size=16).digest()
