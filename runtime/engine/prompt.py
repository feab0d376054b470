"""Lay a conversation out as a canvas: the prompt in the published chat layout, then the slots of the recipe.

The same function lays out training samples, so that what is served is what was learned.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

import torch
from torch import Tensor

from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import (
    BEGIN_OF_IMAGE,
    BEGIN_OF_SPEECH,
    END_OF_IMAGE,
    END_OF_SPEECH,
    END_OF_TEXT,
    IMAGE_TAG,
    SPEECH_CONTEXT,
    SPEECH_TAG,
    TURN_END,
    TURN_START,
    Vocabulary,
)
from runtime.diffusion.canvas import Canvas, Choice, Modality, Slot, SpeechRows
from runtime.engine.recipe import Recipe, SlotRecipe


@dataclass(frozen=True)
class EncodedImage:
    """codes: (rows, columns) int64, from 0."""

    codes: Tensor


@dataclass(frozen=True)
class EncodedSpeech:
    """embeddings: (rows, hidden) of the backbone.

    letters: (frames, letters) log-probabilities of what the speech encoder's CTC head hears, where that is wanted.
    """

    embeddings: Tensor
    letters: Tensor | None = None


Content = str | EncodedImage | EncodedSpeech


@dataclass(frozen=True)
class EncodedTurn:
    """A turn whose media are tokens already."""

    role: Literal["system", "user", "assistant"]
    contents: tuple[Content, ...]


@dataclass(frozen=True)
class ChatStyle:
    """How a model was taught to read a conversation.

    separator: text between the role, the parts of a turn, and behind a turn. order: which parts of a turn come first.
    ends_inside: text and speech slots hold the end of the turn themselves and nothing stands behind them; otherwise
        the end of the turn stands behind the last slot.
    keeps_silence: as the reference's script has it, with a system line of a task the user's words are left out, and
        where they would stand before speech alone an empty line is kept.
    """

    separator: str
    order: tuple[Modality, ...]
    ends_inside: bool
    keeps_silence: bool = False

    def ordered(self, contents: Sequence[Content]) -> list[Content]:
        return sorted(contents, key=lambda content: self.order.index(modality_of(content)))


COMPACT_CHAT = ChatStyle(" ", ("image", "speech", "text"), ends_inside=False)  # the embedded model's
PUBLISHED_CHAT = ChatStyle("\n", ("text", "speech", "image"), ends_inside=True)
REFERENCE_CHAT = replace(PUBLISHED_CHAT, keeps_silence=True)


def modality_of(content: Content) -> Modality:
    if isinstance(content, str):
        return "text"
    return "image" if isinstance(content, EncodedImage) else "speech"


class _Row:
    """The token row while it grows. Text waits until a token follows it: it is cut into tokens in one piece."""

    def __init__(self, vocabulary: Vocabulary, text: TextCodec, style: ChatStyle) -> None:
        self.vocabulary, self.text, self.style = vocabulary, text, style
        self.token_ids: list[int] = []
        self.positions: list[float] = []
        self.image_cells: list[int] = []
        self.speech: list[SpeechRows] = []
        self.next_position = 0.0
        self.speech_position = 0.0  # where the latest speech begins, for slots laid along it
        self._waiting_text = ""

    def put(self, token_ids: Sequence[int], cells: Sequence[int] | None = None) -> None:
        self.flush()
        self.token_ids += token_ids
        self.positions += [self.next_position + i for i in range(len(token_ids))]
        self.image_cells += cells if cells is not None else [-1] * len(token_ids)
        self.next_position += len(token_ids)

    def put_text(self, text: str) -> None:
        self._waiting_text += text

    def flush(self) -> None:
        text, self._waiting_text = self._waiting_text, ""
        if text:
            self.put(self.text.encode(text))

    def put_special(self, name: str) -> None:
        self.put([self.vocabulary[name]])

    def put_piece(self, piece: "Piece") -> None:
        if isinstance(piece, Special):
            self.put_special(piece.name)
        elif isinstance(piece, str):
            self.put_text(piece)
        elif isinstance(piece, EncodedImage):
            self.put_image(piece)
        else:
            self.put_speech(piece)

    def put_image(self, image: EncodedImage) -> None:
        codes = (image.codes.flatten() + self.vocabulary.image[0]).tolist()
        self.put_special(BEGIN_OF_IMAGE)
        self.put(codes, list(range(len(codes))))
        self.put_special(END_OF_IMAGE)

    def put_speech(self, speech: EncodedSpeech) -> None:
        self.put_special(BEGIN_OF_SPEECH)
        self.speech_position = self.next_position
        self.speech.append(SpeechRows(len(self.token_ids), speech.embeddings))
        self.put([self.vocabulary[SPEECH_CONTEXT]] * len(speech.embeddings))
        self.put_special(END_OF_SPEECH)

    def put_slot(self, recipe: SlotRecipe, stage: int) -> Slot:
        """An open slot, between its boundary tokens, which are known in advance."""
        self.put_text(recipe.lead)
        before, behind = self._boundaries(recipe.modality)
        for name in before:
            self.put_special(name)
        self.flush()
        start = len(self.token_ids)
        cells = list(range(recipe.length)) if recipe.modality == "image" else None
        self.put([self.vocabulary.mask_id] * recipe.length, cells)
        if recipe.position_stride is not None:
            along = [self.speech_position + i * recipe.position_stride for i in range(recipe.length)]
            self.positions[start:] = along
        for name in behind:
            self.put_special(name)
        return Slot(
            recipe.name,
            recipe.modality,
            start,
            recipe.length,
            self.vocabulary.slot(recipe.modality),
            stage,
            self.vocabulary.forbidden(recipe.modality),
            self.vocabulary.ends(recipe.modality),
            tuple(Choice(text, self._choice(text, recipe.length)) for text in recipe.choices),
            self._unsure(recipe),
        )

    def _unsure(self, recipe: SlotRecipe) -> Choice | None:
        """None as well where it does not fit into the slot."""
        if not recipe.unsure or len(self.text.encode(recipe.unsure)) > recipe.length:
            return None
        return Choice(recipe.unsure, self._choice(recipe.unsure, recipe.length))

    def _choice(self, text: str, length: int) -> tuple[int, ...]:
        tokens = self.text.encode(text)
        return (*tokens, *[self.vocabulary[END_OF_TEXT]] * (length - len(tokens)))

    def _boundaries(self, modality: Modality) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Special tokens before and behind a slot."""
        if modality == "text":
            return (), ()
        if modality == "image":
            return (BEGIN_OF_IMAGE,), (END_OF_IMAGE,)
        return (BEGIN_OF_SPEECH,), () if self.style.ends_inside else (END_OF_SPEECH,)

    def put_slots(self, recipe: Recipe) -> tuple[Slot, ...]:
        stages = accumulate((not slot.beside for slot in recipe.slots[1:]), initial=0)
        slots = tuple(self.put_slot(slot, int(stage)) for slot, stage in zip(recipe.slots, stages, strict=False))
        self.put_text(recipe.tail)
        if not self.style.ends_inside or (slots and slots[-1].modality == "image"):
            self.put_special(TURN_END)
            self.put_text(self.style.separator)
        self.flush()
        return slots


@dataclass(frozen=True)
class Special:
    """A special token by name."""

    name: str


Piece = Special | Content


def pieces(turns: Sequence[EncodedTurn], style: ChatStyle) -> Iterator[Piece]:
    """The conversation in writing, up to where the assistant's answer begins."""
    for turn in turns:
        yield from (Special(TURN_START), turn.role + style.separator)
        for i, content in enumerate(style.ordered(turn.contents)):
            if i:
                yield style.separator
            yield content
        yield from (Special(TURN_END), style.separator)
    yield from (Special(TURN_START), "assistant" + style.separator)


def render(turns: Sequence[EncodedTurn], style: ChatStyle) -> str:
    """The conversation as a person reads it, with tags where the media are."""
    names = {EncodedImage: IMAGE_TAG, EncodedSpeech: SPEECH_TAG}
    return "".join(
        piece if isinstance(piece, str) else piece.name if isinstance(piece, Special) else names[type(piece)]
        for piece in pieces(turns, style)
    )


def with_instructions(
    turns: Sequence[EncodedTurn], recipe: Recipe, style: ChatStyle = COMPACT_CHAT
) -> list[EncodedTurn]:
    """The conversation with the recipe's own words: its system line first, its instruction before the last request."""
    told = list(turns)
    if told and told[-1].contents:
        contents = told[-1].contents
        if recipe.instruction:
            contents = (recipe.instruction, *contents)
        if recipe.system and style.keeps_silence:
            contents = _silenced(contents)
        told[-1] = replace(told[-1], contents=contents)
    if recipe.system:
        own = told.pop(0).contents if told and told[0].role == "system" else ()
        told.insert(0, EncodedTurn("system", (recipe.system, *own)))
    return told


def _silenced(contents: Sequence[Content]) -> tuple[Content, ...]:
    media = tuple(content for content in contents if not isinstance(content, str))
    return media if any(isinstance(content, EncodedImage) for content in media) else ("", *media)


def lay_out(
    turns: Sequence[EncodedTurn],
    recipe: Recipe,
    vocabulary: Vocabulary,
    text: TextCodec,
    style: ChatStyle = COMPACT_CHAT,
) -> Canvas:
    """The canvas that answers `turns` with the slots of `recipe`, all of them masked."""
    row = _Row(vocabulary, text, style)
    for piece in pieces(with_instructions(turns, recipe, style), style):
        row.put_piece(piece)
    row.flush()
    slots = row.put_slots(recipe)
    return Canvas(
        token_ids=torch.tensor(row.token_ids),
        positions=torch.tensor(row.positions),
        image_cells=torch.tensor(row.image_cells),
        slots=slots,
        mask_id=vocabulary.mask_id,
        speech=tuple(row.speech),
    )


def settled(turns: Sequence[EncodedTurn], recipe: Recipe, text: TextCodec, style: ChatStyle = COMPACT_CHAT) -> Recipe:
    """The recipe with the lengths that depend on the conversation put in."""
    if any(slot.choices for slot in recipe.slots):
        recipe = replace(recipe, slots=tuple(_as_long_as_its_choices(slot, text) for slot in recipe.slots))
    if not any(slot.adaptive for slot in recipe.slots):
        return recipe
    said = turns[-1].contents if turns else ()
    counts = {
        "text": sum(len(text.encode(content)) for content in said if isinstance(content, str)),
        "prompt": sum(_num_positions(piece, text) for piece in pieces(with_instructions(turns, recipe, style), style)),
    }
    return replace(recipe, slots=tuple(slot.settled(counts) for slot in recipe.slots))


def _as_long_as_its_choices(slot: SlotRecipe, text: TextCodec) -> SlotRecipe:
    if not slot.choices:
        return slot
    return replace(slot, length=max(1, *(len(text.encode(choice)) for choice in slot.choices)), steps=1)


def turn_positions(turn: EncodedTurn, text: TextCodec, style: ChatStyle) -> int:
    """How long a turn is on a canvas, a token more or less."""
    around = sum(_num_positions(piece, text) for piece in pieces((), style))
    return sum(_num_positions(piece, text) for piece in pieces((turn,), style)) - around


def _num_positions(piece: Piece, text: TextCodec) -> int:
    """How long a piece is, boundary tokens of media with it. Text cut at the pieces' bounds: a token more or less."""
    if isinstance(piece, Special):
        return 1
    if isinstance(piece, str):
        return len(text.encode(piece))
    return 2 + (piece.codes.numel() if isinstance(piece, EncodedImage) else len(piece.embeddings))


# The conversation with nothing said: what guidance compares with, and what training shows one time in ten.
NOTHING_SAID = (EncodedTurn("user", ()),)
