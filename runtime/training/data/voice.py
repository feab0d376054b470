"""Makes what the voice of the embedded model learns from: `python -m runtime.training.data.voice`.

One speaker (hibari "heart") at 24 kHz says the world's English and plain English phrases, always at the same pace. With
each utterance stand its pitch, and how long every phoneme and every word lasts: the synthesiser knows. A finished shard
is never made again.
"""

import json
import os
import random
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click
import numpy as np
import yaml
from numpy.typing import NDArray

from runtime.training.data.fetch import CHATTERBOT, cache_folder, file_of
from runtime.training.data.speech import HibariVoice, Line, WordSpans, plain_text
from runtime.training.outside import BEYOND, SMALL_TALK, UNKNOWN, kept_for_tests
from runtime.training.world import BACKGROUNDS, NUMBERS, THINGS, plural, questions, random_scene, request_to_draw

SAMPLE_RATE_HZ = 24_000
PITCH_HOP_SAMPLES = 300  # pitch is told 80 times a second
SHARD_SIZE = 400

Split = Literal["train", "test"]
SHARDS: dict[Split, int] = {"train": 12, "test": 1}  # the last of training is what it says outside its world
TEST_SIZE = 120  # half of the world, half plain phrases
CONVERSATIONS = ("conversations", "greetings", "emotion", "food", "health", "computers", "science", "sports", "trivia",
                 "tech_support", "movies", "money", "literature")  # fmt: skip
PLAIN_SHARE = 0.36


@dataclass(frozen=True)
class Sentence:
    """One thing said. text: lower-case words. plain: whether it is of no world, but plain English.

    pcm: (samples,) int16 at 24 kHz. f0: (pitch frames,) float32, Hz, near 0 where there is no voice.
    phonemes, frames: each phoneme and, with the silence at either end, how many of 25 ms frames it lasts.
    word_spans: start and end of each word in seconds; None where words and phonemes do not match.
    """

    text: str
    plain: bool
    pcm: NDArray[np.int16]
    f0: NDArray[np.float32]
    phonemes: str
    frames: tuple[int, ...]
    word_spans: WordSpans | None


def plain_phrases(cache: Path, split: Split) -> list[str]:
    """Phrases of two to nine words as people say them, without figures; one in ten is kept for testing."""
    found: dict[str, None] = {}
    for name in CONVERSATIONS:
        path = file_of(CHATTERBOT, f"chatterbot_corpus/data/english/{name}.yml", cache)
        for conversation in yaml.safe_load(path.read_text(encoding="utf-8"))["conversations"]:
            for turn in conversation:
                for phrase in re.split(r"(?<=[.!?,;])\s+", str(turn)):
                    if re.fullmatch(r"[A-Za-z' ]+[.!?,;]?", phrase) and 2 <= len(phrase.split()) <= 9:
                        found.setdefault(phrase.strip(" ,;"))
    return [phrase for phrase in found if (zlib.crc32(plain_text(phrase).encode()) % 10 == 0) == (split == "test")]


def world_sentences(rng: random.Random, split: Split) -> Iterator[str]:
    """Requests, questions, answers and captions, of scenes that may be trained on or of the others."""
    while True:
        scene = random_scene(rng, held_out=split == "test")
        question = rng.choice(questions(scene, rng))
        kind = rng.random()
        if kind < 0.3:
            yield request_to_draw(scene, rng)
        elif kind < 0.6:
            yield scene.caption
        elif kind < 0.72:
            yield scene.noun
        elif kind < 0.86:
            yield question.text
        else:
            yield question.answer


def single_words() -> list[str]:
    """Every word that an answer may be."""
    return [*THINGS, *(plural(thing) for thing in THINGS), *BACKGROUNDS, *NUMBERS, "yes", "no"]


def small_talk_lines() -> list[str]:
    """What it answers outside its world, said in three ways, and what people say to it then."""
    answers = [answer + ending for answer in (*SMALL_TALK, UNKNOWN) for ending in ".!?"]
    said = [line for lines in SMALL_TALK.values() for line in lines] + list(BEYOND)
    return answers + [line for line in said if not kept_for_tests(line)]


def sentences_to_say(cache: Path, split: Split) -> list[str]:
    """All that is said in a split, in its order; the same every time."""
    rng = random.Random(f"voice/{split}")
    size = (SHARDS[split] - 1) * SHARD_SIZE if split == "train" else TEST_SIZE
    phrases = plain_phrases(cache, split)
    rng.shuffle(phrases)
    phrases = phrases[: round(size * (PLAIN_SHARE if split == "train" else 0.5))]
    said = dict.fromkeys(phrases + (single_words() if split == "train" else []))
    for text in world_sentences(rng, split):
        if len(said) >= size:
            break
        said.setdefault(text)
    listed = list(said)
    rng.shuffle(listed)
    return listed + (small_talk_lines() if split == "train" else [])


def shard_path(cache: Path, split: Split, shard: int) -> Path:
    return cache / "voice" / f"{split}-{shard:03d}.npz"


def make_shard(cache: Path, split: Split, shard: int, voice: HibariVoice) -> None:
    plain = set(plain_phrases(cache, split))
    listed, pcm, f0 = [], [], []
    for text in sentences_to_say(cache, split)[shard * SHARD_SIZE : (shard + 1) * SHARD_SIZE]:
        said = voice.say(Line(text if text[-1] in ".!?" else text + ".", "heart", 1.0))
        pcm.append(np.round(np.clip(said.samples, -1, 1) * 32767).astype(np.int16))
        f0.append(said.f0)
        listed.append(
            {
                "text": plain_text(text),
                "plain": text in plain,
                "phonemes": said.phonemes,
                "frames": said.frames,
                "word_spans": said.word_spans,
            }
        )
    _write(shard_path(cache, split, shard), listed, pcm, f0)


def _write(
    path: Path, listed: Sequence[dict[str, Any]], pcm: Sequence[NDArray[np.int16]], f0: Sequence[NDArray[np.float32]]
) -> None:
    """Written beside and renamed: a shard that is there is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        np.savez(
            file,
            listed=np.frombuffer(json.dumps(listed).encode(), np.uint8),
            pcm=np.concatenate(pcm),
            pcm_ends=np.cumsum([0, *map(len, pcm)]),
            f0=np.concatenate(f0),
            f0_ends=np.cumsum([0, *map(len, f0)]),
        )
    unfinished.replace(path)


def read_shard(path: Path) -> list[Sentence]:
    with np.load(path, allow_pickle=False) as arrays:
        listed = json.loads(arrays["listed"].tobytes())
        pcm = np.split(arrays["pcm"], arrays["pcm_ends"][1:-1])
        f0 = np.split(arrays["f0"], arrays["f0_ends"][1:-1])
    return [
        Sentence(
            entry["text"],
            entry["plain"],
            sound,
            pitch,
            entry["phonemes"],
            tuple(entry["frames"]),
            None if entry["word_spans"] is None else tuple((a, b) for a, b in entry["word_spans"]),
        )
        for entry, sound, pitch in zip(listed, pcm, f0, strict=True)
    ]


def load_sentences(split: Split, cache: Path) -> list[Sentence]:
    """Every sentence of a split. Raises FileNotFoundError when some are not made yet."""
    paths = [shard_path(cache, split, shard) for shard in range(SHARDS[split])]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise FileNotFoundError(f"{missing[0]} is not there; make it with `python -m runtime.training.data.voice`")
    return [sentence for path in paths for sentence in read_shard(path)]


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
def main(cache: Path) -> None:
    """Make the sentences that the voice learns from; goes on where it was stopped."""
    voice = HibariVoice(cache)
    for split, shards in SHARDS.items():
        for shard in range(shards):
            path = shard_path(cache, split, shard)
            if not path.exists():
                make_shard(cache, split, shard, voice)
                seconds = sum(len(sentence.pcm) for sentence in read_shard(path)) / SAMPLE_RATE_HZ
                print(f"voice {split} {shard + 1}/{shards}: {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
