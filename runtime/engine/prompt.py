"""Lay a conversation out as a canvas: the prompt in the published chat layout, then the slots of the recipe.

The same function lays out training samples, so that what is served is what was learned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from runtime.codecs.text import TextCodec
from runtime.codecs.vocabulary import (
    BEGIN_OF_IMAGE,
    BEGIN_OF_SPEECH,
    END_OF_IMAGE,
    END_OF_SPEECH,
    SPEECH_CONTEXT,
    TURN_END,
    TURN_START,
    Vocabulary,
)
from runtime.diffusion.canvas import Canvas, Slot, SpeechRows
from runtime.engine.recipe import Recipe, SlotRecipe


@dataclass(frozen=True)
class EncodedImage:
    """codes: (rows, columns) int64, from 0."""

    codes: Tensor


@dataclass(frozen=True)
class EncodedSpeech:
    """embeddings: (rows, hidden) of the backbone."""

    embeddings: Tensor


Content = str | EncodedImage | EncodedSpeech


@dataclass(frozen=True)
class EncodedTurn:
    """A turn whose media are tokens already."""

    role: Literal["system", "user", "assistant"]
    contents: tuple[Content, ...]


class _Row:
    """The token row while it grows."""

    def __init__(self, vocabulary: Vocabulary, text: TextCodec) -> None:
        self.vocabulary, self.text = vocabulary, text
        self.token_ids: list[int] = []
        self.positions: list[float] = []
        self.image_cells: list[int] = []
        self.speech: list[SpeechRows] = []
        self.next_position = 0.0
        self.speech_position = 0.0  # where the latest speech begins, for slots laid along it

    def put(self, token_ids: Sequence[int], cells: Sequence[int] | None = None) -> None:
        self.token_ids += token_ids
        self.positions += [self.next_position + i for i in range(len(token_ids))]
        self.image_cells += cells if cells is not None else [-1] * len(token_ids)
        self.next_position += len(token_ids)

    def put_special(self, name: str) -> None:
        self.put([self.vocabulary[name]])

    def put_turn(self, turn: EncodedTurn) -> None:
        self.open_turn(turn.role)
        for content in turn.contents:
            if isinstance(content, str):
                self.put(self.text.encode(content))
            elif isinstance(content, EncodedImage):
                self.put_image(content)
            else:
                self.put_speech(content)
        self.put_special(TURN_END)

    def open_turn(self, role: str) -> None:
        self.put_special(TURN_START)
        self.put(self.text.encode(role))

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
        if recipe.modality == "image":
            self.put_special(BEGIN_OF_IMAGE)
        start = len(self.token_ids)
        cells = list(range(recipe.length)) if recipe.modality == "image" else None
        self.put([self.vocabulary.mask_id] * recipe.length, cells)
        if recipe.position_stride is not None:
            along = [self.speech_position + i * recipe.position_stride for i in range(recipe.length)]
            self.positions[start:] = along
        if recipe.modality == "image":
            self.put_special(END_OF_IMAGE)
        allowed = {
            "text": self.vocabulary.text_slot,
            "image": self.vocabulary.image,
            "speech": self.vocabulary.speech,
        }[recipe.modality]
        return Slot(recipe.name, recipe.modality, start, recipe.length, allowed, stage)


def lay_out(
    turns: Sequence[EncodedTurn],
    recipe: Recipe,
    vocabulary: Vocabulary,
    text: TextCodec,
) -> Canvas:
    """The canvas that answers `turns` with the slots of `recipe`, all of them masked."""
    row = _Row(vocabulary, text)
    for turn in turns:
        row.put_turn(turn)
    row.open_turn("assistant")
    slots = tuple(row.put_slot(slot, stage) for stage, slot in enumerate(recipe.slots))
    row.put_special(TURN_END)
    return Canvas(
        token_ids=torch.tensor(row.token_ids),
        positions=torch.tensor(row.positions),
        image_cells=torch.tensor(row.image_cells),
        slots=slots,
        mask_id=vocabulary.mask_id,
        speech=tuple(row.speech),
    )


# The conversation with nothing said: what guidance compares with, and what training shows one time in ten.
NOTHING_SAID = (EncodedTurn("user", ()),)
