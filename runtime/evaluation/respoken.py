"""Infill of speech: a word of a recording is said anew, given the rest and its text; is it that word again?"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from runtime.engine.given import GivenSpeech
from runtime.engine.request import GenerationRequest, SpeechPart, TextPart, Turn
from runtime.evaluation.figures import Figure, share
from runtime.evaluation.published.recogniser import Recogniser
from runtime.evaluation.published.transcripts import Normaliser
from runtime.evaluation.voices import SpeakingModel, in_silence
from runtime.training.data.voice import SAMPLE_RATE_HZ, Sentence
from runtime.training.world import BACKGROUNDS, NUMBERS, THINGS, plural

MEANT = frozenset(
    word
    for name in (*THINGS, *(plural(thing) for thing in THINGS), *BACKGROUNDS, *NUMBERS[1:])
    for word in name.split()
)  # words that say something; what is left out is one of them


@dataclass(frozen=True)
class Gap:
    """A word of a sentence that is taken out. span: from when to when it is said, in seconds."""

    sentence: Sentence
    word: str
    span: tuple[float, float]


def gaps_in(sentences: Sequence[Sentence]) -> list[Gap]:
    """One word of each sentence of the world, where a meant one is there and stands among others."""
    found = []
    for index, sentence in enumerate(sentences):
        words = sentence.text.split()
        meant = [place for place, word in enumerate(words) if word in MEANT]
        if meant and len(words) > 2 and sentence.word_spans is not None and not sentence.plain:
            place = random.Random(index).choice(meant)
            found.append(Gap(sentence, words[place], sentence.word_spans[place]))
    return found


def said_anew(speaking: SpeakingModel, gaps: Sequence[Gap]) -> list[SpeechPart]:
    recipe = speaking.model.recipes["text_to_speech"]
    requests = [
        GenerationRequest(
            f"anew-{i}",
            (Turn("user", (TextPart(gap.sentence.text),)),),
            recipe,
            seed=i,
            given=(GivenSpeech("speech", gap.sentence.pcm, SAMPLE_RATE_HZ, gap.span),),
        )
        for i, gap in enumerate(gaps)
    ]
    return speaking.answered(requests)


def silenced(gaps: Sequence[Gap]) -> list[SpeechPart]:
    """The recordings with silence in their gaps: what a judge hears there it has guessed."""
    made = []
    for gap in gaps:
        pcm = gap.sentence.pcm.copy()
        start, stop = (round(seconds * SAMPLE_RATE_HZ) for seconds in gap.span)
        pcm[start:stop] = 0
        made.append(SpeechPart(pcm, SAMPLE_RATE_HZ))
    return made


def respoken(
    speaking: SpeakingModel, sentences: Sequence[Sentence], num: int, recogniser: Recogniser, normalise: Normaliser
) -> Figure:
    """How often the judge hears the word again; ceiling: with the word's own codes, chance: with silence there."""
    gaps = gaps_in(sentences)[:num]

    def heard(sounds: Sequence[SpeechPart]) -> list[bool]:
        texts = [normalise(recogniser.write_down(in_silence(sound))) for sound in sounds]
        return [normalise(gap.word) in text.split() for gap, text in zip(gaps, texts, strict=True)]

    own, guessed = heard(speaking.coded([gap.sentence for gap in gaps])), heard(silenced(gaps))
    return share(
        "infill: a word said anew, recognised",
        heard(said_anew(speaking, gaps)),
        ceiling=float(np.mean(own)),
        chance=float(np.mean(guessed)),
    )
