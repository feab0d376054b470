"""A sample as a token row with labels, cut into tokens piece by piece as the published training does it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from runtime.codecs.vocabulary import (
    BEGIN_OF_IMAGE,
    BEGIN_OF_SPEECH,
    END_OF_IMAGE,
    END_OF_SPEECH,
    IMAGE_TAG,
    SPEECH_CONTEXT,
    SPEECH_TAG,
    TURN_END,
    TURN_START,
    Vocabulary,
)
from runtime.models.speech_encoder import NUM_QUERY_ROWS
from runtime.training.published.samples import Sample

NOT_LEARNED = -100  # the label of positions that are given, as torch's cross-entropy passes over it
READ_PX, DRAWN_PX = 512, 256  # sides of pictures in requests and in answers
TAGS = re.compile(f"({re.escape(SPEECH_TAG)}|{re.escape(IMAGE_TAG)})")


class Media(Protocol):
    """Media files as numbers; read once a sample."""

    def speech_features(self, path: Path) -> Tensor:
        """(rows, 560) of the front end."""
        ...

    def speech_codes(self, path: Path) -> Sequence[int]:
        """Codes from 0."""
        ...

    def image_codes(self, path: Path, size_px: int) -> Sequence[int]:
        """Codes from 0 of the picture at that side."""
        ...


@dataclass(frozen=True)
class SpeechPlaces:
    """features: (rows, 560). start: the first of the rows + 4 positions that its encoding takes."""

    features: Tensor
    start: int

    @property
    def positions(self) -> range:
        return range(self.start, self.start + len(self.features) + NUM_QUERY_ROWS)


@dataclass(frozen=True)
class Row:
    """A sample laid out. labels: what is to be learned at each position, NOT_LEARNED where nothing is."""

    token_ids: tuple[int, ...]
    labels: tuple[int, ...]
    speech: tuple[SpeechPlaces, ...] = ()

    def __len__(self) -> int:
        return len(self.token_ids)


class Layout:
    """Lays samples out.

    encode: text to ids; called for each piece alone.
    """

    def __init__(self, vocabulary: Vocabulary, encode: Callable[[str], Sequence[int]], media: Media) -> None:
        self._vocabulary, self._encode, self._media = vocabulary, encode, media

    def __call__(self, sample: Sample) -> Row:
        audios, images = iter(sample.audios), iter(sample.images)
        token_ids: list[int] = []
        labels: list[int] = []
        speech: list[SpeechPlaces] = []
        for message in sample.messages:
            answers = message.role == "assistant"
            begun = [self._vocabulary[TURN_START], *self._encode(message.role), *self._encode("\n")]
            token_ids += begun
            labels += [NOT_LEARNED] * len(begun)
            said: list[int] = []
            for piece in TAGS.split(message.content):
                if piece == SPEECH_TAG and not answers:
                    heard = SpeechPlaces(self._media.speech_features(next(audios)), len(token_ids) + len(said) + 1)
                    speech.append(heard)
                    said += self._between(BEGIN_OF_SPEECH, self._context(heard), END_OF_SPEECH)
                elif piece == SPEECH_TAG:
                    codes = self._shifted(self._media.speech_codes(next(audios)), self._vocabulary.speech)
                    said += self._between(BEGIN_OF_SPEECH, codes, END_OF_SPEECH)
                elif piece == IMAGE_TAG:
                    side = DRAWN_PX if answers else READ_PX
                    codes = self._shifted(self._media.image_codes(next(images), side), self._vocabulary.image)
                    said += self._between(BEGIN_OF_IMAGE, codes, END_OF_IMAGE)
                elif piece:
                    said += self._encode(piece)
            said += [self._vocabulary[TURN_END], *self._encode("\n")]
            token_ids += said
            labels += said if answers else [NOT_LEARNED] * len(said)
        return Row(tuple(token_ids), tuple(labels), tuple(speech))

    def _context(self, heard: SpeechPlaces) -> list[int]:
        return [self._vocabulary[SPEECH_CONTEXT]] * len(heard.positions)

    def _shifted(self, codes: Sequence[int], ids: tuple[int, int]) -> Iterator[int]:
        return (ids[0] + code for code in codes)

    def _between(self, begin: str, tokens: Sequence[int] | Iterator[int], end: str) -> list[int]:
        return [self._vocabulary[begin], *tokens, self._vocabulary[end]]
