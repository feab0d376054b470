"""Text to tokens and back."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

# How Qwen2 cuts text before merging: contractions, words with the sign before them, single digits, signs, line
# breaks, blanks.
QWEN2_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class TextCodecError(ValueError):
    """Files that are no vocabulary; the message names the file, what is wrong and what to do."""


class TextCodec:
    """A byte-level BPE; any string can be written in it. Special tokens are no text: their names are cut like any.

    num_tokens: how many ids text takes, from 0 on.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.num_tokens: int = tokenizer.get_vocab_size(with_added_tokens=False)

    @classmethod
    def load(cls, path: Path) -> "TextCodec":
        """Read a tokenizer.json, or a folder that holds one or a vocab.json with a merges.txt.

        Raises TextCodecError.
        """
        if path.is_dir():
            file = path / "tokenizer.json"
            return cls.load(file) if file.is_file() else cls._from_merges(path)
        content = _read_json(path)
        # Added tokens would turn words of the user's into marks of the conversation.
        content["added_tokens"] = []
        try:
            return cls(Tokenizer.from_str(json.dumps(content)))
        except Exception as error:  # the library raises plain Exception
            raise TextCodecError(
                f"{path}: no tokenizer ({error}); restore the file that came with the model"
            ) from error

    @classmethod
    def _from_merges(cls, folder: Path) -> "TextCodec":
        vocabulary_file, merges_file = folder / "vocab.json", folder / "merges.txt"
        vocabulary = _read_json(vocabulary_file)
        try:
            lines = merges_file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise TextCodecError(f"{merges_file}: cannot be read ({error}); restore the model's merges.txt") from error
        merges = [line.split(" ") for line in lines if line and not line.startswith("#version")]
        try:
            tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[(first, second) for first, second in merges]))
        except Exception as error:  # the library raises plain Exception
            raise TextCodecError(
                f"{merges_file}: does not go with {vocabulary_file.name} ({error}); take both from one model"
            ) from error
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(QWEN2_WORDS), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        tokenizer.decoder = decoders.ByteLevel()
        return cls(tokenizer)

    def save(self, path: Path) -> None:
        self._tokenizer.save(str(path))

    @classmethod
    def train(cls, corpus: Iterable[str], num_tokens: int) -> "TextCodec":
        """Learn merges from sentences. Case and surrounding blanks are not kept: a small model has no use for them."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Lowercase(), normalizers.Strip(), normalizers.Replace("?", "")]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=num_tokens, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
        tokenizer.train_from_iterator(corpus, trainer)
        return cls(tokenizer)

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids; what is no text id is left out."""
        text: str = self._tokenizer.decode([i for i in ids if 0 <= i < self.num_tokens])
        return text.strip()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TextCodecError(f"{path}: cannot be read ({error}); restore the file that came with the model") from error
    if not isinstance(content, dict):
        raise TextCodecError(f"{path}: holds no JSON object; restore the file that came with the model")
    return content
