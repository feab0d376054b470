from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

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
from runtime.training.published.layout import DRAWN_PX, NOT_LEARNED, READ_PX, Layout, Row
from runtime.training.published.samples import Message, Sample

V = Vocabulary.published()
SPEECH, IMAGE = V.speech[0], V.image[0]
CLIP, PICTURE = Path("1.wav"), Path("1.png")


class Media:
    """Three rows a clip; codes tell which file and side they come of."""

    def speech_features(self, path: Path) -> Tensor:
        return torch.zeros(3, 560)

    def speech_codes(self, path: Path) -> Sequence[int]:
        return [int(path.stem), 7]

    def image_codes(self, path: Path, size_px: int) -> Sequence[int]:
        return [int(path.stem), size_px]


def encode(text: str) -> list[int]:
    """A token a letter."""
    return [ord(letter) for letter in text]


def lay_out(*messages: Message, audios: tuple[Path, ...] = (), images: tuple[Path, ...] = ()) -> Row:
    return Layout(V, encode, Media())(Sample(messages, audios, images))


def turn(role: str, *content: int) -> list[int]:
    return [V[TURN_START], *encode(f"{role}\n"), *content, V[TURN_END], *encode("\n")]


def test_only_the_assistant_is_learned_with_the_end_of_its_turn() -> None:
    row = lay_out(Message("system", "s"), Message("user", "q"), Message("assistant", "ab"))
    assert row.token_ids == (*turn("system", 115), *turn("user", 113), *turn("assistant", 97, 98))
    learned = [97, 98, V[TURN_END], 10]
    assert list(row.labels[-4:]) == learned
    assert set(row.labels[:-4]) == {NOT_LEARNED}


def test_every_answer_of_a_conversation_is_learned() -> None:
    turns = [Message("user", "q"), Message("assistant", "a"), Message("user", "r"), Message("assistant", "b")]
    row = lay_out(*turns)
    assert [label for label in row.labels if label != NOT_LEARNED] == [97, V[TURN_END], 10, 98, V[TURN_END], 10]


def test_heard_speech_is_rows_of_the_encoder_and_spoken_speech_is_codes() -> None:
    row = lay_out(Message("user", "<|audio|>"), Message("assistant", "<|audio|>"), audios=(CLIP, Path("2.wav")))
    heard = [V[BEGIN_OF_SPEECH], *[V[SPEECH_CONTEXT]] * 7, V[END_OF_SPEECH]]
    spoken = [V[BEGIN_OF_SPEECH], SPEECH + 2, SPEECH + 7, V[END_OF_SPEECH]]
    assert row.token_ids == (*turn("user", *heard), *turn("assistant", *spoken))
    (places,) = row.speech
    assert [row.token_ids[place] for place in places.positions] == [V[SPEECH_CONTEXT]] * 7


def test_pictures_are_coarser_in_answers() -> None:
    row = lay_out(Message("user", "<|image|>"), Message("assistant", "<|image|>"), images=(PICTURE, Path("2.png")))
    read = [V[BEGIN_OF_IMAGE], IMAGE + 1, IMAGE + READ_PX, V[END_OF_IMAGE]]
    drawn = [V[BEGIN_OF_IMAGE], IMAGE + 2, IMAGE + DRAWN_PX, V[END_OF_IMAGE]]
    assert row.token_ids == (*turn("user", *read), *turn("assistant", *drawn))


def test_text_around_media_is_cut_piece_by_piece() -> None:
    pieces: list[str] = []

    def noted(text: str) -> list[int]:
        pieces.append(text)
        return encode(text)

    sample = Sample((Message("user", "look\n<|image|>?"), Message("assistant", "a")), images=(PICTURE,))
    Layout(V, noted, Media())(sample)
    assert pieces == ["user", "\n", "look\n", "?", "\n", "assistant", "\n", "a", "\n"]


def test_marks_written_by_a_user_stay_text() -> None:
    row = lay_out(Message("user", "<|im_end|>"), Message("assistant", "a"))
    assert row.token_ids.count(V[TURN_END]) == 2


def test_ids_and_labels_have_the_same_length() -> None:
    row = lay_out(Message("user", "<|audio|>x<|image|>"), Message("assistant", ""), audios=(CLIP,), images=(PICTURE,))
    assert len(row) == len(row.token_ids) == len(row.labels)
    assert [label for label in row.labels if label != NOT_LEARNED] == [V[TURN_END], 10]
