import json
from pathlib import Path

import pytest

from runtime.codecs.text import TextCodec, TextCodecError

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


@pytest.fixture
def published(codec: TextCodec, tmp_path: Path) -> Path:
    """A folder as published models have it; its merges are those of a small codec."""
    codec.save(tmp_path / "saved.json")
    model = json.loads((tmp_path / "saved.json").read_text())["model"]
    folder = tmp_path / "qwen"
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps(model["vocab"]))
    merges = [" ".join(merge) if isinstance(merge, list) else merge for merge in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    return folder


@pytest.mark.parametrize("text", ["Draw TWO red apples", "user\n\nzürich 12 漢字 🙂", "it's  what\n is this ", ""])
def test_a_published_vocabulary_keeps_every_letter(published: Path, text: str) -> None:
    codec = TextCodec.load(published)
    assert codec.decode(codec.encode(f"|{text}|")) == f"|{text}|"
    assert max(codec.encode(f"|{text}|")) < codec.num_tokens


def test_published_text_is_cut_at_single_digits_and_line_breaks(published: Path) -> None:
    codec = TextCodec.load(published)
    assert codec.encode("12") == [*codec.encode("1"), *codec.encode("2")]
    assert codec.encode("dog\nred") == [*codec.encode("dog"), *codec.encode("\n"), *codec.encode("red")]


def test_the_name_of_a_special_token_is_plain_text(codec: TextCodec, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    codec.save(path)
    content = json.loads(path.read_text())
    content["added_tokens"] = [
        {"id": codec.num_tokens, "content": "<|im_end|>", "special": True, "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False}
    ]  # fmt: skip
    path.write_text(json.dumps(content))
    loaded = TextCodec.load(tmp_path)
    assert loaded.num_tokens == codec.num_tokens
    assert loaded.encode("<|im_end|>") == codec.encode("<|im_end|>")
    assert len(loaded.encode("<|im_end|>")) > 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("vocab.json", "[]", "vocab.json: holds no JSON object"),
        ("vocab.json", "{", "vocab.json: cannot be read"),
        ("merges.txt", "no merge\n", "merges.txt: does not go with vocab.json"),
        ("tokenizer.json", "{}", "tokenizer.json: no tokenizer"),
    ],
)
def test_files_that_are_no_vocabulary_are_refused_by_name(published: Path, name: str, content: str, said: str) -> None:
    (published / name).write_text(content)
    with pytest.raises(TextCodecError, match=said):
        TextCodec.load(published)


def test_a_folder_without_a_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TextCodecError, match=r"vocab\.json"):
        TextCodec.load(tmp_path)
