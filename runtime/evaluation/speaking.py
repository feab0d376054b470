"""What can be understood of the embedded model's speech: `omni eval speaking`.

An independent recogniser writes down what it hears, of the synthesiser that was learnt from, of its speech through the
model's codes and back, and of what the model itself says; of sentences of its world and of plain English, none of them
trained on.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np

from runtime.codecs.compact_voice import CompactVoiceCodec
from runtime.engine.engine import Engine
from runtime.engine.model import OmniModel
from runtime.engine.request import GenerationRequest, SpeechPart, TextPart, Turn
from runtime.evaluation.answers import answer_all, slot_of
from runtime.evaluation.figures import Figure, word_errors
from runtime.evaluation.published.recogniser import Recogniser
from runtime.evaluation.published.transcripts import Normaliser
from runtime.training.data.fetch import cache_folder
from runtime.training.data.voice import SAMPLE_RATE_HZ, Sentence, load_sentences

SILENCE_S = 0.25  # around what is judged: recognisers are used to it
KINDS = {"its world": False, "plain English": True}

Said = Callable[[Sequence[Sentence]], list[SpeechPart]]


class SpeakingModel:
    """A model that has a voice, asked through its engine."""

    def __init__(self, model: OmniModel, engine: Engine) -> None:
        if not isinstance(model.voice, CompactVoiceCodec) or "text_to_speech" not in model.recipes:
            raise click.ClickException(f"model {model.name!r} does not speak; give one with a voice: --model FOLDER")
        self.model, self.engine, self.voice = model, engine, model.voice

    @property
    def ways(self) -> dict[str, Said]:
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
        sounds = [slot_of(answer, "speech").speech for answer in answer_all(self.engine, requests)]
        return [SpeechPart(sound.pcm, sound.sample_rate_hz) for sound in sounds if sound is not None]


def recorded(sentences: Sequence[Sentence]) -> list[SpeechPart]:
    return [SpeechPart(sentence.pcm, SAMPLE_RATE_HZ) for sentence in sentences]


def in_silence(speech: SpeechPart) -> SpeechPart:
    silence = np.zeros(round(SILENCE_S * speech.sample_rate_hz), np.int16)
    return SpeechPart(np.concatenate([silence, speech.pcm, silence]), speech.sample_rate_hz)


def understood(
    ways: dict[str, Said], sentences: Sequence[Sentence], num: int, recogniser: Recogniser, normalise: Normaliser
) -> Iterator[Figure]:
    """Word errors of each way to say `num` sentences of each kind."""
    for kind, plain in KINDS.items():
        chosen = [sentence for sentence in sentences if sentence.plain == plain][:num]
        for way, say in ways.items():
            heard = [normalise(recogniser.write_down(in_silence(speech))) for speech in say(chosen)]
            pairs = [(normalise(sentence.text), text) for sentence, text in zip(chosen, heard, strict=True)]
            yield word_errors(f"{way}, {kind}: word errors", pairs)


@click.command("speaking")
@click.option("--model", "folder", type=click.Path(path_type=Path), help="a model folder; default: the embedded model")
@click.option("--cache", type=click.Path(path_type=Path), default=cache_folder, show_default="the training cache")
@click.option("--num", default=60, show_default=True, help="sentences of each kind")
@click.option(
    "--recogniser", "recogniser_folder", type=click.Path(path_type=Path), required=True,
    help="folder of a Whisper model for CTranslate2",
)  # fmt: skip
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="also write the figures here")
def speaking(folder: Path | None, cache: Path, num: int, recogniser_folder: Path, json_file: Path | None) -> None:
    """What an independent recogniser understands of the embedded model's speech."""
    from runtime.engine.denoising import DenoisingEngine
    from runtime.engine.model import EMBEDDED, load_model
    from runtime.evaluation.published.errors import SetupError
    from runtime.evaluation.published.recogniser import FasterWhisper
    from runtime.evaluation.published.transcripts import whisper_normaliser
    from runtime.executors.in_process import InProcessExecutor

    model = load_model(folder or EMBEDDED)
    engine = DenoisingEngine(model, InProcessExecutor(model.backbone))
    try:
        ways, sentences = SpeakingModel(model, engine).ways, load_sentences("test", cache)
        figures = []
        for figure in understood(ways, sentences, num, FasterWhisper(recogniser_folder), whisper_normaliser()):
            print(figure, flush=True)
            figures.append(figure)
    except (SetupError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        engine.close()
    if json_file is not None:
        json_file.write_text(json.dumps({figure.measure: asdict(figure) for figure in figures}, indent=2) + "\n")
