"""Packed rows without end from the sources of a stage; where it stands can be kept and gone back to."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch

from runtime.codecs.vocabulary import END_OF_TEXT, Vocabulary
from runtime.training.published.layout import Layout, Row
from runtime.training.published.masking import MaskingRule, mask_row, pad_tail
from runtime.training.published.packing import Packed, pack
from runtime.training.published.plan import Source
from runtime.training.published.samples import Sample, SampleError, read_samples


@dataclass
class Position:
    """How many samples of each source were taken, packs made, and samples passed over."""

    taken: list[int]
    packs: int = 0
    skipped: int = 0


@dataclass
class PackStream:
    """Packs of one source at a time, sources drawn by their weights. Samples come in the order of their files, again
    from the start when a file ends; chance depends on the seed and the number of the pack alone.

    skip_broken: pass over samples that cannot be read or do not fit. shard: (first, n), every n-th sample is taken.
    """

    sources: list[Source]
    layout: Layout
    vocabulary: Vocabulary
    rule: MaskingRule
    length: int
    seed: str
    skip_broken: bool = False
    shard: tuple[int, int] = (0, 1)
    position: Position = field(init=False)
    _open: dict[int, Iterator[Sample]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.position = Position([0] * len(self.sources))

    def go_to(self, position: Position) -> None:
        """Samples taken so far are read past without their media."""
        self.position = Position(list(position.taken), position.packs, position.skipped)
        self._open = {}

    def next(self) -> Packed:
        rng = random.Random(f"{self.seed}/{self.position.packs}")
        index = rng.choices(range(len(self.sources)), [source.weight for source in self.sources])[0]
        rows: list[Row] = []
        while True:
            before = self.position.taken[index]
            row = self._row(index, rng)
            if sum(map(len, rows)) + len(row) > self.length:
                # It opens the next pack of this source instead.
                self.position.taken[index] = before
                self._open.pop(index, None)
                break
            rows.append(row)
        self.position.packs += 1
        return pack(rows, self.length, self.vocabulary[END_OF_TEXT])

    def _row(self, index: int, rng: random.Random) -> Row:
        """The next sample of a source that can be read and fits, ready to be learned."""
        failures = 0
        while True:
            sample = self._sample(index)
            try:
                row = pad_tail(self.layout(sample), self.vocabulary[END_OF_TEXT], rng)
            except SampleError as error:
                failure = error
            else:
                if len(row) <= self.length:
                    generator = torch.Generator().manual_seed(rng.getrandbits(62))
                    return mask_row(row, self.vocabulary[END_OF_TEXT], self.vocabulary.mask_id, self.rule, generator)
                failure = SampleError(
                    f"{sample.where}: {len(row)} positions; a packed row takes {self.length}; "
                    "raise sequence_length or leave the sample out"
                )
            failures += 1
            if not self.skip_broken or failures > 1000:
                raise failure
            self.position.skipped += 1

    def _sample(self, index: int) -> Sample:
        for _ in range(2):
            if index not in self._open:
                self._open[index] = self._samples(index)
            sample = next(self._open[index], None)
            if sample is not None:
                self.position.taken[index] += 1
                return sample
            del self._open[index]
            self.position.taken[index] = 0
        raise SampleError(f"{self.sources[index].file}: holds no samples; give a JSONL file with one at least")

    def _samples(self, index: int) -> Iterator[Sample]:
        source = self.sources[index]
        root = Path(source.media_root) if source.media_root is not None else None
        first, every = self.shard
        return islice(read_samples(Path(source.file), root), first + self.position.taken[index] * every, None, every)
