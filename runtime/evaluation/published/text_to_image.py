"""Pictures drawn from prompts, kept as files, and judged."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runtime.codecs.image import encode_png
from runtime.engine.request import TextPart
from runtime.evaluation.published.answer_log import Row
from runtime.evaluation.published.answerer import Answer
from runtime.evaluation.published.errors import DataError
from runtime.evaluation.published.file_names import file_name
from runtime.evaluation.published.manifest import PROMPT_NAMES, read_manifest
from runtime.evaluation.published.measures import Measure
from runtime.evaluation.published.run import Task

RECIPES = ("text_to_image",)
EXPECTED = """expected is a file of prompts,
  DATA.txt                 a prompt a line
  DATA.jsonl               lines like: {"prompt": "a red apple"}
  DATA.tsv                 a prompt a line, or a table whose first row names a column prompt or caption
  DATA.json                COCO captions: {"annotations": [{"id": 1, "image_id": 7, "caption": "a red apple"}]}"""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Prompt:
    id: str
    text: str


class Drawn(Row, frozen=True, kw_only=True):
    """picture: file name in the folder of pictures; None if there is none."""

    prompt: str
    picture: str | None


Judge = Callable[[Sequence[str], Sequence[Pixels]], Iterator[Measure]]
"""Takes prompts and the pictures drawn from them, (height, width, 3) uint8 each."""


def read_prompts(data: Path) -> list[Prompt]:
    """Raises DataError."""
    if not data.is_file():
        raise DataError(f"{data}: is no file; {EXPECTED}")
    return [Prompt(item["id"], item["prompt"]) for item in read_manifest(data, {"prompt": PROMPT_NAMES})]


def drawing(folder: Path) -> Task[Prompt, Drawn]:
    """Pictures go into the folder."""

    def keep(prompt: Prompt, answer: Answer, seconds: float) -> Drawn:
        picture = None
        if answer.picture is not None:
            picture = f"{file_name(prompt.id)}.png"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / picture).write_bytes(encode_png(answer.picture))
        error = answer.error
        if error is None and picture is None:
            error = "the model drew no picture; choose a recipe that does with --recipe"
        return Drawn(id=prompt.id, seconds=seconds, error=error, prompt=prompt.text, picture=picture)

    return Task(ask=lambda prompt: (TextPart(prompt.text),), keep=keep)


def read_picture(path: Path) -> Pixels:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), np.uint8)
    except OSError as error:
        raise DataError(
            f"{path}: the picture is gone or damaged ({error}); remove its line from the answers to have it drawn again"
        ) from error


def measure(rows: Sequence[Drawn], folder: Path, judge: Judge | None) -> Iterator[Measure]:
    """How many pictures there are, and what the judge says of them."""
    drawn = [row for row in rows if row.picture is not None]
    yield Measure("drawn", len(drawn) / len(rows), len(rows))
    if judge is not None and drawn:
        pictures = [read_picture(folder / row.picture) for row in drawn if row.picture is not None]
        yield from judge([row.prompt for row in drawn], pictures)
