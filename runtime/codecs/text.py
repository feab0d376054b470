"""Text to tokens and back."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers


class TextCodec:
    """A byte-level BPE; any string can be written in it.

    num_tokens: how many ids text takes, from 0 on.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.num_tokens: int = tokenizer.get_vocab_size()

    @classmethod
    def load(cls, path: Path) -> "TextCodec":
        return cls(Tokenizer.from_file(str(path)))

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
        ids: list[int] = self._tokenizer.encode(text).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the ids; what is no text id is left out."""
        text: str = self._tokenizer.decode([i for i in ids if 0 <= i < self.num_tokens])
        return text.strip()
