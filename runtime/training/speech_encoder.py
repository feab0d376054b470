"""Train the speech encoder alone, before the backbone hears: `python -m runtime.training.speech_encoder`.

The synthesisers tell when each word is said, so every 60 ms row has a letter and a text token to name; a CTC loss over
letters joins in. Learned this way it takes minutes; learned through the backbone from nothing it does not learn.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from runtime.codecs.speech import NUM_BINS, SAMPLE_RATE_HZ, SpeechFrontEnd
from runtime.codecs.text import TextCodec
from runtime.evaluation.word_errors import word_error_rate
from runtime.models.speech_encoder import NUM_QUERY_ROWS, SpeechEncoder, SpeechEncoderConfig
from runtime.training.data.fetch import cache_folder
from runtime.training.data.speech import Utterance, char_spans, load_utterances
from runtime.training.precision import in_training_precision
from runtime.training.run import TrainingRun
from runtime.training.text import NUM_TOKENS, text_codec

LETTERS = "\x00 abcdefghijklmnopqrstuvwxyz"  # the first is CTC's blank
CONFIG = SpeechEncoderConfig(
    output_size=256,
    attention_heads=4,
    linear_units=1024,
    num_blocks=5,
    tp_blocks=0,
    ctc_vocab=len(LETTERS),
    dropout=0.05,
)
LEVEL = 0.1  # RMS every clip is brought to
ROW_S = 0.06
BATCH = 32
ENGINE_SHARES = {"kokoro": 0.5, "hibari": 0.35, "flite": 0.15}
UNKNOWN = -100


class EncoderInTraining(nn.Module):
    """The encoder and the two heads it is taught with; only the encoder is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = SpeechEncoder(CONFIG)
        self.letters = nn.Linear(CONFIG.output_size, len(LETTERS))
        self.tokens = nn.Linear(CONFIG.output_size, NUM_TOKENS)


@dataclass(frozen=True)
class Sample:
    """features: (rows, 560); letters, tokens: (rows,) what is said in each row, UNKNOWN where nobody knows."""

    features: Tensor
    letters: Tensor
    tokens: Tensor
    text: str


def distorted(pcm: NDArray[np.int16], rng: random.Random) -> tuple[NDArray[np.int16], float]:
    """Another voice, another room: pitch and tempo together, noise. Returns the speed it was changed by."""
    speed = rng.uniform(0.8, 1.25) if rng.random() < 0.7 else 1.0
    samples = pcm.astype(np.float32)
    if speed != 1.0:
        samples = np.interp(np.arange(0, len(samples) - 1, speed), np.arange(len(samples)), samples).astype(np.float32)
    if rng.random() < 0.5:
        noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(len(samples)).astype(np.float32)
        samples += noise * np.sqrt((samples**2).mean()) * 10 ** (-rng.uniform(12, 40) / 20)
    return samples.clip(-32768, 32767).astype(np.int16), speed


def warped(features: Tensor, rng: random.Random) -> Tensor:
    """Another throat: the bins of every frame, (rows, 560), moved up or down the mel scale by up to an eighth."""
    if rng.random() < 0.3:
        return features
    bins = features.view(len(features), -1, NUM_BINS)
    source = (torch.arange(NUM_BINS) * rng.uniform(0.88, 1.13)).clamp(max=NUM_BINS - 1)
    below = source.long()
    above, share = (below + 1).clamp(max=NUM_BINS - 1), source - below
    return (bins[..., below] * (1 - share) + bins[..., above] * share).flatten(1)


def rows_saying(spans: Sequence[tuple[int, float, float]], num_rows: int, speed: float) -> Tensor:
    """(label, start_s, end_s) spans -> (num_rows,) labels; a row takes what is said at its middle, silence is 0."""
    labels = torch.zeros(num_rows, dtype=torch.long)
    for label, start_s, end_s in spans:
        first = round(start_s / speed / ROW_S)
        last = max(first + 1, round(end_s / speed / ROW_S))
        labels[first:last] = label
    return labels


def token_spans(
    text: str, word_spans: Sequence[tuple[float, float]], codec: TextCodec
) -> list[tuple[int, float, float]]:
    """Each word's tokens, evenly over the word's time."""
    spans = []
    for word, (start_s, end_s) in zip(text.split(), word_spans, strict=True):
        ids = codec.encode(word)
        step = (end_s - start_s) / len(ids)
        spans += [(token, start_s + i * step, start_s + (i + 1) * step) for i, token in enumerate(ids)]
    return spans


def sample_of(
    utterance: Utterance, codec: TextCodec, front_end: SpeechFrontEnd, rng: random.Random | None = None
) -> Sample:
    """Features and labels of an utterance, distorted when `rng` is given."""
    pcm, speed = distorted(utterance.pcm, rng) if rng else (utterance.pcm, 1.0)
    features = front_end(pcm, SAMPLE_RATE_HZ)
    if rng:
        features = warped(features, rng)
    rows = len(features)
    if utterance.word_spans is None:
        unknown = torch.full((rows,), UNKNOWN)
        return Sample(features, unknown, unknown, utterance.text)
    letters = [(LETTERS.index(utterance.text[i]), a, b) for i, a, b in char_spans(utterance.text, utterance.word_spans)]
    tokens = token_spans(utterance.text, utterance.word_spans, codec)
    return Sample(features, rows_saying(letters, rows, speed), rows_saying(tokens, rows, speed), utterance.text)


def hide_parts(features: Tensor, rng: random.Random) -> Tensor:
    """SpecAugment: two bands of bins and one stretch of time set to the mean."""
    features = features.clone()
    bins = features.view(len(features), -1, NUM_BINS)
    for _ in range(2):
        width = rng.randint(0, 10)
        low = rng.randint(0, NUM_BINS - width)
        bins[:, :, low : low + width] = 0
    width = rng.randint(0, 3)
    start = rng.randint(0, max(0, len(features) - width))
    features[start : start + width] = 0
    return features


def padded(rows: Sequence[Tensor], value: float = 0) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)


def fit_front_end(utterances: Sequence[Utterance]) -> SpeechFrontEnd:
    """Mean and spread of the features over a few hundred utterances."""
    flat = SpeechFrontEnd(torch.zeros(560), torch.ones(560), LEVEL)
    features = torch.cat([flat(u.pcm, SAMPLE_RATE_HZ) for u in utterances])
    return SpeechFrontEnd(-features.mean(0), 1 / features.std(0), LEVEL)


def front_end(cache: Path) -> SpeechFrontEnd:
    """The fitted front end, made at the first call."""
    path = cache / "runs" / "front_end.pt"
    if not path.exists():
        utterances = load_utterances("train", cache)
        fitted = fit_front_end(random.Random(0).sample(utterances, min(400, len(utterances))))
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"shift": fitted.shift, "scale": fitted.scale}, path)
    return SpeechFrontEnd(**torch.load(path, weights_only=True), level=LEVEL)


def load_speech_encoder(cache: Path) -> SpeechEncoder:
    """The trained encoder, without the heads it was taught with."""
    saved = torch.load(cache / "runs" / "speech_encoder" / "checkpoint.pt", weights_only=True)["network"]
    encoder = SpeechEncoder(CONFIG)
    prefix = "encoder."
    encoder.load_state_dict({name[len(prefix) :]: part for name, part in saved.items() if name.startswith(prefix)})
    return encoder.eval()


def greedy_letters(scores: Tensor) -> str:
    """CTC's best path: (rows, letters) -> text."""
    best = torch.unique_consecutive(scores.argmax(-1)).tolist()
    return "".join(LETTERS[i] for i in best if i)


@click.command()
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--steps", default=3000, show_default=True)
@click.option("--threads", default=1, show_default=True)
def main(cache: Path, steps: int, threads: int) -> None:
    """Train the speech encoder; resumes where it was stopped."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    codec, features_of = text_codec(cache), front_end(cache)
    by_engine: dict[str, list[Utterance]] = {}
    for utterance in load_utterances("train", cache):
        by_engine.setdefault(utterance.voice.split("/")[0], []).append(utterance)
    print({engine: len(found) for engine, found in by_engine.items()}, flush=True)
    shares = {engine: share for engine, share in ENGINE_SHARES.items() if engine in by_engine}
    for found in by_engine.values():
        found.sort(key=lambda u: len(u.pcm))
    network = EncoderInTraining()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.02, fused=True)
    run = TrainingRun(cache / "runs" / "speech_encoder", network, [optimizer], steps, warmup=150)
    tests = {
        "known": load_utterances("test_known_voice", cache)[:60],
        "held_out": load_utterances("test_held_out_voices", cache)[:100],
    }

    def batch(rng: random.Random) -> list[Sample]:
        """Utterances of about one length (least padding), from the engines by their share."""
        where, samples = rng.random(), []
        for engine in rng.choices(list(shares), list(shares.values()), k=BATCH):
            found = by_engine[engine]
            index = int(where * len(found)) + rng.randint(-len(found) // 20, len(found) // 20)
            samples.append(sample_of(found[min(max(index, 0), len(found) - 1)], codec, features_of, rng))
        return samples

    def loss_of(rng: random.Random) -> dict[str, Tensor]:
        samples = batch(rng)
        features = padded([hide_parts(s.features, rng) for s in samples])
        lengths = torch.tensor([len(s.features) for s in samples])
        with in_training_precision():
            encoded, _ = network.encoder(features, lengths)
        encoded = encoded[:, NUM_QUERY_ROWS:].float()
        letters, tokens = (padded([getattr(s, name) for s in samples], UNKNOWN) for name in ("letters", "tokens"))
        letter_loss = F.cross_entropy(network.letters(encoded).flatten(0, 1), letters.flatten(), ignore_index=UNKNOWN)
        token_loss = F.cross_entropy(network.tokens(encoded).flatten(0, 1), tokens.flatten(), ignore_index=UNKNOWN)
        log_probabilities = network.encoder.ctc.ctc_lo(encoded).log_softmax(-1).transpose(0, 1)
        said = [[LETTERS.index(c) for c in s.text] for s in samples]
        ctc = F.ctc_loss(
            log_probabilities,
            torch.tensor([c for letters_said in said for c in letters_said]),
            lengths,
            torch.tensor([len(letters_said) for letters_said in said]),
            zero_infinity=True,
        )
        loss = letter_loss + token_loss + 0.3 * ctc
        return {"loss": loss, "letter": letter_loss, "token": token_loss, "ctc": ctc}

    def report() -> dict[str, float]:
        figures = {}
        for name, utterances in tests.items():
            pairs = []
            with torch.inference_mode():
                for utterance in utterances:
                    features = features_of(utterance.pcm, SAMPLE_RATE_HZ)
                    encoded, _ = network.encoder(features[None], torch.tensor([len(features)]))
                    scores = network.encoder.ctc.ctc_lo(encoded[0, NUM_QUERY_ROWS:])
                    pairs.append((utterance.text, greedy_letters(scores)))
            figures[f"ctc_wer_{name}"] = word_error_rate(pairs)
        return figures

    run.train(loss_of, report)


if __name__ == "__main__":
    main()
