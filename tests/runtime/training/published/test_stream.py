from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from runtime.codecs.vocabulary import END_OF_TEXT, Vocabulary
from runtime.training.published.layout import NOT_LEARNED, Layout
from runtime.training.published.masking import MaskingRule
from runtime.training.published.plan import Source
from runtime.training.published.samples import SampleError
from runtime.training.published.stream import PackStream, Position
from tests.support.tiny_samples import dialogue, write_jsonl

V = Vocabulary.compact(300, 0, 16)


class NoMedia:
    def speech_features(self, path: Path) -> torch.Tensor:
        raise SampleError(f"{path}: cannot be read as sound")

    def speech_codes(self, path: Path) -> Sequence[int]:
        return []

    def image_codes(self, path: Path, size_px: int) -> Sequence[int]:
        return [1, 2, 3, 4]


def encode(text: str) -> list[int]:
    return [ord(letter) % 300 for letter in text]


def stream(*files: Path, length: int = 200, **options: object) -> PackStream:
    sources = [Source(str(file), weight=1.0 + i) for i, file in enumerate(files)]
    settings: dict[str, object] = {"skip_broken": False, "shard": (0, 1), "seed": "1", **options}
    return PackStream(sources, Layout(V, encode, NoMedia()), V, MaskingRule(), length, **settings)  # type: ignore[arg-type]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "a.jsonl", [dialogue(f"question {i}", f"answer {i}") for i in range(7)])


def told(packs: PackStream, count: int) -> list[list[int]]:
    return [packs.next().token_ids[0].tolist() for _ in range(count)]


def test_packs_hold_whole_rows_and_go_round(file: Path) -> None:
    packs = stream(file)
    found = [packs.next() for _ in range(12)]
    assert all(pack.token_ids.shape == (1, 200) for pack in found)
    assert {pack.num_rows for pack in found} <= {2, 3, 4}
    assert all(bool((pack.labels != NOT_LEARNED).any()) for pack in found)


def test_going_back_to_a_position_gives_the_same_packs(file: Path, tmp_path: Path) -> None:
    other = write_jsonl(tmp_path / "b.jsonl", [dialogue("picture", "<|image|>", images=["x.png"])] * 3)
    unbroken = stream(file, other)
    told(unbroken, 3)
    kept = replace(unbroken.position, taken=list(unbroken.position.taken))
    rest = told(unbroken, 8)
    resumed = stream(file, other)
    resumed.go_to(kept)
    assert told(resumed, 8) == rest


def test_another_seed_masks_other_positions(file: Path) -> None:
    assert told(stream(file), 2) != told(stream(file, seed="2"), 2)


def test_shards_take_turns(file: Path) -> None:
    def questions(shard: tuple[int, int]) -> set[int]:
        packs, digits = stream(file, length=60, shard=shard), {ord(d): int(d) for d in "0123456"}
        return {digits[token] for ids in told(packs, 6) for token in ids if token in digits}

    assert questions((0, 2)) >= {0, 2, 4, 6}
    assert not questions((0, 2)) & {1, 3, 5} or questions((1, 2)) >= {1, 3, 5}
    assert 1 in questions((1, 2))


def test_a_broken_sample_stops_or_is_counted(tmp_path: Path) -> None:
    heard = dialogue("<|audio|>", "x", audios=["gone.wav"])
    file = write_jsonl(tmp_path / "a.jsonl", [heard, dialogue("q", "a")])
    with pytest.raises(SampleError, match=r"gone\.wav: cannot be read"):
        stream(file).next()
    packs = stream(file, skip_broken=True)
    packs.next()
    assert packs.position.skipped > 0


def test_a_sample_that_is_too_long_says_what_to_do(file: Path) -> None:
    with pytest.raises(SampleError, match=r"a\.jsonl:1: \d+ positions; a packed row takes 20; raise sequence_length"):
        stream(file, length=20).next()


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="holds no samples"):
        stream(write_jsonl(tmp_path / "empty.jsonl", [])).next()


def test_padding_behind_the_rows_is_the_end_of_text(file: Path) -> None:
    pack = stream(file).next()
    assert set(pack.token_ids[~pack.real].tolist()) <= {V[END_OF_TEXT]}
    assert Position([0]).packs == 0


def test_a_line_that_is_no_sample_is_passed_over_and_what_follows_is_not(tmp_path: Path) -> None:
    lines = [dialogue("q", "a"), "{broken", dialogue("q", "b")]
    packs = stream(write_jsonl(tmp_path / "a.jsonl", lines), length=60, skip_broken=True)
    learned = {token for ids in told(packs, 8) for token in ids}
    assert ord("b") % 300 in learned | {label for _ in range(8) for label in packs.next().labels[0].tolist()}
    assert packs.position.skipped > 0
    with pytest.raises(SampleError, match=r"a\.jsonl:2: no JSON"):
        told(stream(tmp_path / "a.jsonl", length=60), 8)


def test_each_sample_is_read_once_in_a_round(file: Path) -> None:
    read = 0

    def counted(text: str) -> list[int]:
        nonlocal read
        read += text == "assistant"
        return encode(text)

    packs = stream(file)
    packs.layout = Layout(V, counted, NoMedia())
    rows = sum(packs.next().num_rows for _ in range(6))
    assert read <= rows + 1  # the one that waits


def test_an_empty_file_is_never_passed_over(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="holds no samples"):
        stream(write_jsonl(tmp_path / "empty.jsonl", []), skip_broken=True).next()
