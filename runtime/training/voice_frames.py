"""The sentences of the voice as frames: what codec and vocoder learn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from runtime.codecs.compact_voice import FRAMES_PER_SECOND, HOP_SAMPLES, log_mel
from runtime.models.harmonic_vocoder import LOWEST_PITCH_HZ
from runtime.training.data.voice import PITCH_HOP_SAMPLES, SAMPLE_RATE_HZ, Sentence, Split, load_sentences

SILENCE = "#"  # the phoneme at either end
PHONEME_FRAMES = FRAMES_PER_SECOND * 0.025  # frames that one of the synthesiser's own lasts
MULTIPLE = 4  # frames of a code


@dataclass(frozen=True)
class Frames:
    """One sentence. values: (frames, 82) log mel energies, log pitch, voiced; phonemes: (frames,) which is said."""

    sentence: Sentence
    values: Tensor
    phonemes: Tensor


@dataclass(frozen=True)
class Alphabet:
    letters: str

    @classmethod
    def of(cls, sentences: Sequence[Sentence]) -> "Alphabet":
        return cls(SILENCE + "".join(sorted({letter for sentence in sentences for letter in sentence.phonemes})))

    def __len__(self) -> int:
        return len(self.letters)

    def labels(self, sentence: Sentence, num_frames: int) -> Tensor:
        """(num_frames,) which phoneme is said."""
        said = [max(0, self.letters.find(letter)) for letter in (SILENCE, *sentence.phonemes, SILENCE)]
        each = torch.repeat_interleave(torch.tensor(said), torch.tensor(sentence.frames))
        places = (torch.arange(num_frames) / PHONEME_FRAMES).long().clamp(max=len(each) - 1)
        return each[places]


def pitch_of(sentence: Sentence, num_frames: int) -> tuple[Tensor, Tensor]:
    """Log pitch, led on through what has no voice, and whether there is one: (num_frames,) each."""
    places = np.arange(num_frames) * HOP_SAMPLES / PITCH_HOP_SAMPLES
    nearest = np.clip(np.round(places).astype(int), 0, len(sentence.f0) - 1)
    voiced = np.flatnonzero(sentence.f0 > LOWEST_PITCH_HZ)
    if not len(voiced):
        return torch.zeros(num_frames), torch.zeros(num_frames)
    pitch = np.interp(places, voiced, np.log(sentence.f0[voiced]))
    return torch.from_numpy(pitch).float(), torch.from_numpy(sentence.f0[nearest] > LOWEST_PITCH_HZ).float()


def frames_of(sentence: Sentence, alphabet: Alphabet) -> Frames:
    mel = log_mel(torch.from_numpy(sentence.pcm.astype(np.float32))[None] / 32768)[0]
    mel = mel[: len(mel) // MULTIPLE * MULTIPLE]
    pitch, voiced = pitch_of(sentence, len(mel))
    values = torch.cat([mel, pitch[:, None], voiced[:, None]], 1)
    return Frames(sentence, values, alphabet.labels(sentence, len(mel)))


def load_frames(cache: Path, split: Split) -> list[Frames]:
    alphabet = Alphabet.of(load_sentences("train", cache))
    return [frames_of(sentence, alphabet) for sentence in load_sentences(split, cache)]


def num_phonemes(cache: Path) -> int:
    return len(Alphabet.of(load_sentences("train", cache)))


def normalisation(frames: Sequence[Frames]) -> tuple[Tensor, Tensor]:
    """Mean and spread of each value; of the pitch where there is a voice, and the voice itself is left as it is."""
    values = torch.cat([each.values for each in frames])
    mean, spread = values.mean(0), values.std(0)
    pitch = values[values[:, -1] > 0.5, -2]
    mean[-2:], spread[-2:] = torch.stack([pitch.mean(), torch.zeros(())]), torch.stack([pitch.std(), torch.ones(())])
    return mean, spread


assert SAMPLE_RATE_HZ == HOP_SAMPLES * FRAMES_PER_SECOND
