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
from runtime.training.published.samples import SampleError, parse, read_lines


class NoSamplesError(SampleError):
    """A file from which nothing can be taken, which is never passed over."""


@dataclass
class Position:
    """How many lines of each source were taken into packs, packs made, and samples passed over."""

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
    _open: dict[int, Iterator[tuple[str, str]]] = field(init=False, default_factory=dict)
    _waiting: dict[int, tuple[int, str, Row]] = field(init=False, default_factory=dict)  # lines taken, where, laid out

    def __post_init__(self) -> None:
        self.position = Position([0] * len(self.sources))

    def go_to(self, position: Position) -> None:
        """Lines taken so far are read past, neither parsed nor their media read."""
        self.position = Position(list(position.taken), position.packs, position.skipped)
        self._open, self._waiting = {}, {}

    def next(self) -> Packed:
        rng = random.Random(f"{self.seed}/{self.position.packs}")
        index = rng.choices(range(len(self.sources)), [source.weight for source in self.sources])[0]
        rows: list[Row] = []
        while True:
            before = self.position.taken[index]
            row, laid_out = self._row(index, rng)
            if sum(map(len, rows)) + len(row) > self.length:
                # It opens the next pack of this source instead, padded and masked by that pack's chance.
                self._waiting[index] = (self.position.taken[index], *laid_out)
                self.position.taken[index] = before
                break
            rows.append(row)
        self.position.packs += 1
        return pack(rows, self.length, self.vocabulary[END_OF_TEXT])

    def _row(self, index: int, rng: random.Random) -> tuple[Row, tuple[str, Row]]:
        """The next sample of a source that can be read and fits: ready to be learned, and as it was laid out."""
        failures = 0
        while True:
            try:
                where, plain = self._laid_out(index)
                row = pad_tail(plain, self.vocabulary[END_OF_TEXT], rng)
                if len(row) > self.length:
                    raise SampleError(
                        f"{where}: {len(row)} positions; a packed row takes {self.length}; "
                        "raise sequence_length or leave the sample out"
                    )
            except NoSamplesError:
                raise
            except SampleError as error:
                failure = error
            else:
                generator = torch.Generator().manual_seed(rng.getrandbits(62))
                shown = mask_row(row, self.vocabulary[END_OF_TEXT], self.vocabulary.mask_id, self.rule, generator)
                return shown, (where, plain)
            failures += 1
            if not self.skip_broken or failures > 1000:
                raise failure
            self.position.skipped += 1

    def _laid_out(self, index: int) -> tuple[str, Row]:
        """The row that waits since the last pack of this source, or that of the next line."""
        if index in self._waiting:
            self.position.taken[index], where, row = self._waiting.pop(index)
            return where, row
        line, where = self._line(index)
        source = self.sources[index]
        root = Path(source.media_root) if source.media_root is not None else Path(source.file).parent
        return where, self.layout(parse(line, root, where))

    def _line(self, index: int) -> tuple[str, str]:
        for _ in range(2):
            if index not in self._open:
                first, every = self.shard
                lines = read_lines(Path(self.sources[index].file))
                self._open[index] = islice(lines, first + self.position.taken[index] * every, None, every)
            found = next(self._open[index], None)
            if found is not None:
                self.position.taken[index] += 1
                return found
            del self._open[index]
            self.position.taken[index] = 0
        raise NoSamplesError(
            f"{self.sources[index].file}: holds no samples for this process; give a JSONL file with one at least for "
            f"each of the {self.shard[1]}"
        )
