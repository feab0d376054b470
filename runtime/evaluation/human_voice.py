"""What the embedded model hears of a real person, beside Whisper on the same clips: `omni eval human`.

The clips are a telephone system's announcements (Asterisk's, said by Allison Smith, CC BY-SA 3.0). They are never
trained on and lie outside the model's world, so little of them can be expected to be right; the figure says how little.
"""

import gzip
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from runtime.engine.engine import Engine
from runtime.engine.model import OmniModel
from runtime.engine.request import GenerationRequest, SpeechPart, Turn
from runtime.evaluation.answers import answer_all, slot_of
from runtime.evaluation.figures import Figure, word_errors, write_figures
from runtime.evaluation.judges import RECOGNISERS, recogniser_of
from runtime.evaluation.opened import cache_option, json_option, model_option, opened
from runtime.evaluation.published.errors import SetupError, missing
from runtime.evaluation.published.recogniser import Recogniser
from runtime.evaluation.published.transcripts import Normaliser, whisper_normaliser
from runtime.training.data.fetch import FetchError, Package, fetch

TEXTS = Package(
    "debian", "asterisk-core-sounds-en", "1.6.1-1", "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50"
)
SOUNDS = Package(
    "debian",
    "asterisk-core-sounds-en-g722",
    "1.6.1-1",
    "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
)
TEXT_FILE = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
SOUND_FOLDER = "usr/share/asterisk/sounds/en_US_f_Allison"
SAMPLE_RATE_HZ = 16_000
FEWEST_WORDS, MOST_WORDS = 3, 8  # in one transcript of the embedded model


@dataclass(frozen=True)
class Clip:
    text: str
    speech: SpeechPart


Listener = Callable[[Sequence[Clip]], list[str]]


def texts_of(listed: str) -> dict[str, str]:
    """ "name: what is said" lines -> texts by name, without comments and what is not said but sounded or explained."""
    pairs = (line.split(":", 1) for line in listed.splitlines() if ":" in line and not line.startswith(";"))
    return {name.strip(): text.strip() for name, text in pairs if text.strip() and not re.search(r"[\[(]", text)}


def load_clips(cache: Path, num: int) -> list[Clip]:
    """`num` sentences, the same every time. Raises FetchError where Debian's packages cannot be had."""
    listed = gzip.decompress((fetch(TEXTS, cache) / TEXT_FILE).read_bytes()).decode("utf-8", "replace")
    folder = fetch(SOUNDS, cache) / SOUND_FOLDER
    fitting = [
        (folder / f"{name}.g722", text)
        for name, text in sorted(texts_of(listed).items())
        if FEWEST_WORDS <= len(text.split()) <= MOST_WORDS and (folder / f"{name}.g722").is_file()
    ]
    chosen = random.Random(0).sample(fitting, min(num, len(fitting)))
    return [Clip(text, read_g722(path)) for path, text in chosen]


def read_g722(path: Path) -> SpeechPart:
    """Raises SetupError without PyAV, which comes with faster-whisper."""
    try:
        import av
    except ImportError as error:
        raise missing("av") from error
    container: Any = av.open(str(path), format="g722")
    with container:
        frames = [frame.to_ndarray().ravel() for frame in container.decode(audio=0)]
    return SpeechPart(np.concatenate(frames).astype(np.int16), SAMPLE_RATE_HZ)


def heard_by_judge(judge: Recogniser, clips: Sequence[Clip]) -> list[str]:
    return [judge.write_down(clip.speech) for clip in clips]


def heard_by_model(model: OmniModel, engine: Engine, clips: Sequence[Clip]) -> list[str]:
    recipe = model.recipes["speech_to_text"]
    requests = [
        GenerationRequest(f"clip-{i}", (Turn("user", (clip.speech,)),), recipe, seed=i) for i, clip in enumerate(clips)
    ]
    return [slot_of(answer, recipe.slots[0].name).text or "" for answer in answer_all(engine, requests)]


def errors_of(listeners: Mapping[str, Listener], clips: Sequence[Clip], normalise: Normaliser) -> Iterator[Figure]:
    """Word errors of each, on the same clips."""
    for name, listen in listeners.items():
        pairs = [(normalise(clip.text), normalise(text)) for clip, text in zip(clips, listen(clips), strict=True)]
        yield word_errors(f"a real human voice, {name}: word errors", pairs)


@click.command("human")
@model_option
@cache_option
@click.option("--num", default=60, show_default=True, help="clips")
@json_option
def human(folder: Path | None, cache: Path, num: int, json_file: Path | None) -> None:
    """Word errors on a real human voice, beside Whisper's on the same clips."""
    try:
        clips, normalise = load_clips(cache, num), whisper_normaliser()
        with opened(folder) as (model, engine):
            listeners: dict[str, Listener] = {"speech to text": partial(heard_by_model, model, engine)}
            for name in RECOGNISERS:
                listeners[f"Whisper {name}"] = partial(heard_by_judge, recogniser_of(name, cache))
            figures = []
            for figure in errors_of(listeners, clips, normalise):
                click.echo(figure)
                figures.append(figure)
    except (SetupError, FetchError) as error:
        raise click.ClickException(str(error)) from error
    write_figures(figures, json_file)
