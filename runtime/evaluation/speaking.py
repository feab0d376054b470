"""What can be understood of the embedded model's speech, and how natural it sounds: `omni eval speaking`.

Independent judges hear the synthesiser that was learnt from, its speech through the model's codes and back, and what
the model itself says; sentences of its world and plain English, none of them trained on.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import click

from runtime.engine.request import SpeechPart
from runtime.evaluation.figures import Figure, mean, word_errors, write_figures
from runtime.evaluation.judges import DistillMos, recogniser_of
from runtime.evaluation.opened import cache_option, json_option, model_option, opened
from runtime.evaluation.published.errors import SetupError
from runtime.evaluation.published.recogniser import Recogniser
from runtime.evaluation.published.transcripts import Normaliser, whisper_normaliser
from runtime.evaluation.respoken import respoken
from runtime.evaluation.voices import Said, SpeakingModel, in_silence
from runtime.training.data.fetch import FetchError
from runtime.training.data.voice import Sentence, load_sentences

KINDS = {"its world": False, "plain English": True}


class Naturalness(Protocol):
    def score(self, speech: SpeechPart) -> float:
        """1 … 5."""


def understood(
    ways: dict[str, Said],
    sentences: Sequence[Sentence],
    num: int,
    recogniser: Recogniser,
    normalise: Normaliser,
    naturalness: Naturalness | None = None,
) -> Iterator[Figure]:
    """Word errors of each way to say `num` sentences of each kind, and how natural it sounds.

    The first way is the ceiling of the others.
    """
    for kind, plain in KINDS.items():
        chosen = [sentence for sentence in sentences if sentence.plain == plain][:num]
        ceilings: dict[str, float] = {}
        for way, say in ways.items():
            sounds = say(chosen)
            heard = [normalise(recogniser.write_down(in_silence(sound))) for sound in sounds]
            pairs = [(normalise(sentence.text), text) for sentence, text in zip(chosen, heard, strict=True)]
            figures = [word_errors(f"{way}, {kind}: word errors", pairs, ceilings.get("word errors"))]
            if naturalness is not None:
                scores = [naturalness.score(sound) for sound in sounds]
                figures.append(mean(f"{way}, {kind}: DistillMOS", scores, "MOS", ceilings.get("DistillMOS")))
            for figure in figures:
                ceilings.setdefault(figure.measure.split(": ")[-1], figure.value)
                yield figure


@click.command("speaking")
@model_option
@cache_option
@click.option("--num", default=60, show_default=True, help="sentences of each kind")
@click.option(
    "--recogniser", "recogniser_name", default="base", show_default=True,
    help="who listens: Whisper base, Whisper tiny.en (half the time), or a folder of a Whisper model for CTranslate2",
)  # fmt: skip
@json_option
def speaking(folder: Path | None, cache: Path, num: int, recogniser_name: str, json_file: Path | None) -> None:
    """What independent judges say of the embedded model's speech."""
    figures = []
    try:
        with opened(folder) as (model, engine):
            voice, sentences = SpeakingModel(model, engine), load_sentences("test", cache)
            recogniser, normalise = recogniser_of(recogniser_name, cache), whisper_normaliser()
            told = understood(voice.ways, sentences, num, recogniser, normalise, DistillMos(cache))
            for figure in told:
                click.echo(figure)
                figures.append(figure)
            figures.append(respoken(voice, sentences, num, recogniser, normalise))
            click.echo(figures[-1])
    except (SetupError, FetchError, FileNotFoundError) as error:
        raise click.ClickException(str(error)) from error
    write_figures(figures, json_file)
