from pathlib import Path

import pytest

from runtime.codecs.text import TextCodec

SENTENCES = ["draw two red apples", "a cat above a dog", "what is this"] * 3


@pytest.fixture(scope="module")
def codec() -> TextCodec:
    return TextCodec.train(SENTENCES, 300)


@pytest.mark.parametrize("text", ["draw two red apples", "zürich naïve 漢字 🙂", "a\tb\nc", ""])
def test_any_text_comes_back(codec: TextCodec, text: str) -> None:
    assert codec.decode(codec.encode(text)) == text


def test_case_and_surrounding_blanks_are_not_kept(codec: TextCodec) -> None:
    assert codec.encode("  Draw TWO red apples ") == codec.encode("draw two red apples")


def test_known_words_take_fewer_tokens_than_letters(codec: TextCodec) -> None:
    assert len(codec.encode("draw two red apples")) < 10
    assert max(codec.encode("draw two red apples")) < codec.num_tokens <= 300


def test_what_is_no_text_is_left_out(codec: TextCodec) -> None:
    ids = codec.encode("a cat")
    assert codec.decode([codec.num_tokens + 5, *ids, -1]) == "a cat"


def test_a_saved_codec_reads_the_same(codec: TextCodec, tmp_path: Path) -> None:
    codec.save(tmp_path / "text.json")
    assert TextCodec.load(tmp_path / "text.json").encode("a red dog") == codec.encode("a red dog")
