"""Does a picture show its prompt? Two judges: CLIP for pictures of anything, a probe for the embedded model's world."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from runtime.evaluation.figures import share
from runtime.evaluation.picture_checks import Recogniser, judge_pictures
from runtime.evaluation.published.errors import DataError, SetupError, missing
from runtime.evaluation.published.measures import Measure, average
from runtime.evaluation.report_card import LAYOUT_NAMES, rights_of
from runtime.training.data.scenes import CANVAS
from runtime.training.world import Scene, parse_request

Pixels = NDArray[np.uint8]


class ProbeJudge:
    """Things, background, count and places of the scene a prompt asks for: see runtime.evaluation.picture_checks."""

    def __init__(self, recogniser: Recogniser) -> None:
        self._recogniser = recogniser

    def __call__(self, prompts: Sequence[str], pictures: Sequence[Pixels]) -> Iterator[Measure]:
        """Raises DataError for prompts that ask for no scene of that world, and for pictures of another size."""
        sizes = {picture.shape for picture in pictures} - {(CANVAS, CANVAS, 3)}
        if sizes:
            raise DataError(f"the probe judges pictures of {CANVAS} x {CANVAS} px; there are some of shape {sizes}")
        verdicts = judge_pictures([_scene(prompt) for prompt in prompts], pictures, self._recogniser)
        for kind in LAYOUT_NAMES:
            rights = [right for verdict in verdicts for right in rights_of(verdict, kind)]
            if rights:
                found = share(kind, rights)
                yield Measure(kind, found.value, found.num, found.low, found.high)


def _scene(prompt: str) -> Scene:
    scene = parse_request(prompt.strip().rstrip(".").lower())
    if scene is None:
        raise DataError(
            f"the probe judges pictures of the embedded model's world only, and {prompt!r} asks for none of it; "
            "one that does: draw two apples on a blue background"
        )
    return scene


class Clip(Protocol):
    """Brings pictures and texts into one space: (n, width) unit vectors."""

    def pictures(self, pictures: Sequence[Pixels]) -> Tensor: ...

    def texts(self, texts: Sequence[str]) -> Tensor: ...


class ClipJudge:
    """The CLIP score: 100 times the cosine of picture and prompt, 0 where it is negative."""

    def __init__(self, clip: Clip, batch: int = 32) -> None:
        self._clip, self._batch = clip, batch

    def __call__(self, prompts: Sequence[str], pictures: Sequence[Pixels]) -> Iterator[Measure]:
        starts = range(0, len(prompts), self._batch)
        batches = [(prompts[i : i + self._batch], pictures[i : i + self._batch]) for i in starts]
        cosines = torch.cat([(self._clip.pictures(shown) * self._clip.texts(said)).sum(1) for said, shown in batches])
        yield average("CLIP score", 100 * cosines.clamp(min=0).double().numpy(), unit="points")


class OpenClip:
    """Implements Clip with a folder that open_clip wrote: open_clip_config.json and the weights beside it.

    Raises SetupError where the folder or the package is not what is needed.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "open_clip_config.json").is_file():
            raise SetupError(
                f"{folder}: no open_clip_config.json here; a CLIP model as open_clip keeps it is needed, a folder with "
                "that file and open_clip_model.safetensors"
            )
        try:
            import open_clip
        except ImportError as error:
            raise missing("open_clip_torch") from error
        schema = f"local-dir:{folder}"
        network, _, preprocess = open_clip.create_model_and_transforms(schema)
        self._network: Any = network.eval()
        self._preprocess: Callable[[Image.Image], Tensor] = preprocess
        self._tokenize: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(schema)

    @torch.inference_mode()
    def pictures(self, pictures: Sequence[Pixels]) -> Tensor:
        batch = torch.stack([self._preprocess(Image.fromarray(picture)) for picture in pictures])
        return torch.as_tensor(self._network.encode_image(batch, normalize=True)).float()

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        return torch.as_tensor(self._network.encode_text(self._tokenize(list(texts)), normalize=True)).float()
