import random
from pathlib import Path

from runtime.training.text import corpus, text_codec
from runtime.training.world import THINGS


def test_codec_is_learnt_once_and_knows_the_world(tmp_path: Path) -> None:
    codec = text_codec(tmp_path)
    written = (tmp_path / "runs" / "tokenizer.json").stat().st_mtime_ns
    assert text_codec(tmp_path).num_tokens == codec.num_tokens
    assert (tmp_path / "runs" / "tokenizer.json").stat().st_mtime_ns == written
    single = [thing for thing in THINGS if " " not in thing and len(codec.encode(thing)) == 1]
    assert len(single) > 0.9 * (len(THINGS) - 1)


def test_corpus_is_the_same_for_the_same_seed() -> None:
    assert corpus(random.Random(1))[:50] == corpus(random.Random(1))[:50]
