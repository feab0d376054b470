"""The sentences of the voice as codes, and how long its words last: `python -m runtime.training.speech_codes`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor

from runtime.codecs.compact_voice import CompactVoiceCodec
from runtime.codecs.text import TextCodec
from runtime.engine.narration import Narration, Timing
from runtime.models.compact_voice import CompactVoice, CompactVoiceConfig
from runtime.training.data.fetch import cache_folder
from runtime.training.data.voice import SAMPLE_RATE_HZ, Sentence, Split, load_sentences
from runtime.training.harmonic_vocoder import CONFIG as VOCODER_CONFIG
from runtime.training.harmonic_vocoder import load_vocoder
from runtime.training.speech_codec import CONFIG as CODEC_CONFIG
from runtime.training.speech_codec import load_codec
from runtime.training.speech_encoder import token_spans
from runtime.training.text import text_codec

CODES_FILE = "speech_codes.pt"
LEAD, TAIL = 2, 4  # codes of silence that are kept at either end
SPLITS: tuple[Split, ...] = ("train", "test")


@dataclass(frozen=True)
class SpokenText:
    """codes: (n,) int64. narration: when each of its tokens is said in them."""

    text: str
    plain: bool
    codes: Tensor
    narration: Narration


def spoken_text(sentence: Sentence, codes: Tensor, codec: TextCodec, per_second: float) -> SpokenText:
    """Codes and times of a sentence whose words are known, its silence cut short."""
    assert sentence.word_spans is not None
    spans = token_spans(sentence.text, sentence.word_spans, codec)
    first = max(0, int(spans[0][1] * per_second) - LEAD)
    stop = spans[-1][2] * per_second - first
    codes = codes[first : first + round(stop) + TAIL]
    starts = torch.tensor([start_s * per_second - first for _, start_s, _ in spans])
    tokens = torch.tensor([token for token, _, _ in spans])
    return SpokenText(sentence.text, sentence.plain, codes, Narration(tokens, starts, stop, len(codes)))


def timing_of(spoken: Sequence[SpokenText], codec: TextCodec) -> Timing:
    """Mean durations. A token that never stands last is as long there as elsewhere; of those that were never said, a
    letter is as long as letters are."""
    seconds = torch.zeros(codec.num_tokens, 2, 2)  # sums and counts
    for each in spoken:
        bounds = [*each.narration.starts.tolist(), each.narration.stop]
        for place, (token, (start, stop)) in enumerate(zip(each.narration.tokens, pairwise(bounds), strict=True)):
            last = int(place == len(each.narration.tokens) - 1)
            seconds[token, last] += torch.tensor([stop - start, 1.0])
    letters = torch.tensor([max(1, len(codec.decode([token]))) for token in range(codec.num_tokens)])
    said = seconds.sum(1)
    known = said[:, 1] > 0
    a_letter = said[known, 0].sum() / (said[known, 1] * letters[known]).sum()
    general = torch.where(known, said[:, 0] / said[:, 1].clamp(min=1), letters * a_letter)
    means = torch.where(seconds[..., 1] > 0, seconds[..., 0] / seconds[..., 1].clamp(min=1), general[:, None])
    lead = torch.stack([each.narration.starts[0] for each in spoken]).mean()
    tail = torch.tensor([each.narration.length - each.narration.stop for each in spoken]).mean()
    return Timing(means, (float(lead), float(tail)))


def assembled(cache: Path, num_tokens: int) -> CompactVoice:
    """Codec and vocoder as they are trained by now; how long words last is not known yet."""
    voice = CompactVoice(CompactVoiceConfig(num_tokens, CODEC_CONFIG, VOCODER_CONFIG))
    voice.codec.load_state_dict(load_codec(cache).state_dict())
    if (cache / "runs" / "harmonic_vocoder" / "checkpoint.pt").exists():
        voice.vocoder.load_state_dict(load_vocoder(cache).state_dict())
    return voice.eval()


def encoded(cache: Path, split: Split, voice: CompactVoice, codec: TextCodec) -> Iterator[SpokenText]:
    hearing = CompactVoiceCodec(voice)
    for sentence in load_sentences(split, cache):
        if sentence.word_spans is not None:
            codes = hearing.encode(sentence.pcm, SAMPLE_RATE_HZ)
            yield spoken_text(sentence, codes, codec, voice.codes_per_second)


def _as_saved(spoken: SpokenText) -> dict[str, Any]:
    narration = spoken.narration
    times = {"tokens": narration.tokens, "starts": narration.starts, "stop": narration.stop}
    return {"text": spoken.text, "plain": spoken.plain, "codes": spoken.codes, **times}


def _as_read(saved: dict[str, Any]) -> SpokenText:
    narration = Narration(saved["tokens"], saved["starts"], saved["stop"], len(saved["codes"]))
    return SpokenText(saved["text"], saved["plain"], saved["codes"], narration)


def load_spoken(cache: Path, split: Split = "train") -> list[SpokenText]:
    saved = torch.load(cache / "runs" / CODES_FILE, weights_only=True)
    return [_as_read(each) for each in saved[split]]


def load_timing(cache: Path) -> Timing:
    saved = torch.load(cache / "runs" / CODES_FILE, weights_only=True)
    return Timing(saved["durations"], tuple(saved["silence"]))


def load_voice(cache: Path) -> CompactVoice:
    """The whole voice, as it is shipped."""
    timing = load_timing(cache)
    voice = assembled(cache, len(timing.durations))
    voice.durations.copy_(timing.durations)
    voice.silence.copy_(torch.tensor(timing.silence))
    return voice


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--threads", default=1, show_default=True)
def main(cache: Path, threads: int) -> None:
    """Make the codes that the backbone learns to speak from."""
    torch.set_num_threads(threads)
    codec = text_codec(cache)
    voice = assembled(cache, codec.num_tokens)
    spoken = {split: list(encoded(cache, split, voice, codec)) for split in SPLITS}
    timing = timing_of(spoken["train"], codec)
    saved = {split: [_as_saved(each) for each in found] for split, found in spoken.items()}
    times = {"durations": timing.durations, "silence": list(timing.silence)}
    torch.save(saved | times, cache / "runs" / CODES_FILE)
    print({split: len(found) for split, found in spoken.items()}, "sentences in codes")


if __name__ == "__main__":
    main()
