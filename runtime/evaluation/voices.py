"""The ways of saying a sentence that are judged: the synthesiser's, through the model's codes, and the model's own."""

from collections.abc import Callable, Sequence

import click
import numpy as np

from runtime.codecs.compact_voice import CompactVoiceCodec
from runtime.engine.engine import Engine
from runtime.engine.model import OmniModel
from runtime.engine.request import GenerationRequest, SpeechPart, TextPart, Turn
from runtime.evaluation.answers import answer_all, slot_of
from runtime.training.data.voice import SAMPLE_RATE_HZ, Sentence

SILENCE_S = 0.25  # around what is judged: recognisers are used to it

Said = Callable[[Sequence[Sentence]], list[SpeechPart]]


class SpeakingModel:
    """A model that has a voice, asked through its engine."""

    def __init__(self, model: OmniModel, engine: Engine) -> None:
        if not isinstance(model.voice, CompactVoiceCodec) or "text_to_speech" not in model.recipes:
            raise click.ClickException(f"model {model.name!r} does not speak; give one with a voice: --model FOLDER")
        self.model, self.engine, self.voice = model, engine, model.voice

    @property
    def ways(self) -> dict[str, Said]:
        """The real voice first."""
        return {"the synthesiser itself": recorded, "through codes and back": self.coded, "text to speech": self.said}

    def coded(self, sentences: Sequence[Sentence]) -> list[SpeechPart]:
        codes = [self.voice.encode(sentence.pcm, SAMPLE_RATE_HZ) for sentence in sentences]
        return [SpeechPart(self.voice.pcm(each), self.voice.sample_rate_hz) for each in codes]

    def said(self, sentences: Sequence[Sentence]) -> list[SpeechPart]:
        recipe = self.model.recipes["text_to_speech"]
        requests = [
            GenerationRequest(f"say-{i}", (Turn("user", (TextPart(sentence.text),)),), recipe, seed=i)
            for i, sentence in enumerate(sentences)
        ]
        return self.answered(requests)

    def answered(self, requests: Sequence[GenerationRequest]) -> list[SpeechPart]:
        """What the model says to each request."""
        sounds = [slot_of(answer, "speech").speech for answer in answer_all(self.engine, requests)]
        return [SpeechPart(sound.pcm, sound.sample_rate_hz) for sound in sounds if sound is not None]


def recorded(sentences: Sequence[Sentence]) -> list[SpeechPart]:
    return [SpeechPart(sentence.pcm, SAMPLE_RATE_HZ) for sentence in sentences]


def in_silence(speech: SpeechPart) -> SpeechPart:
    silence = np.zeros(round(SILENCE_S * speech.sample_rate_hz), np.int16)
    return SpeechPart(np.concatenate([silence, speech.pcm, silence]), speech.sample_rate_hz)
