"""Is a picture what was asked for? Checks that need no opinion: background, count, places; and the probe for things."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from runtime.training.data.drawings import Pixels
from runtime.training.data.scenes import Colors, color_distance, places
from runtime.training.world import BACKGROUNDS, Scene

_BORDER = 2  # px: the margin that every layout leaves free around its sprites
_DIFFERENT = 60.0  # colour distance from which a pixel belongs to an object
_LEAST_SHARE = 0.2  # a part smaller than this share of the largest one is a splinter, not an object
_LEAST_AREA = 60  # px in the box around a part


class Recogniser(Protocol):
    """Names what a crop shows; `runtime.evaluation.image_probe.Probe` is one."""

    def recognise(self, crops: Sequence[Pixels]) -> list[str]: ...


@dataclass(frozen=True)
class Verdict:
    """What is right in one picture. `things` has one entry for each object, `relation` is None where there is none."""

    layout: str
    things: tuple[bool, ...]
    background: bool
    count: bool
    relation: bool | None

    @property
    def whole(self) -> bool:
        """Everything that was asked for is there."""
        return all(self.things) and self.background and self.count


def judge_pictures(scenes: Sequence[Scene], pictures: Sequence[Pixels], recogniser: Recogniser) -> list[Verdict]:
    """Compare each picture, (80, 80, 3) uint8, with the scene it should show."""
    crops = [crop for scene, picture in zip(scenes, pictures, strict=True) for crop in object_crops(scene, picture)]
    names = iter(recogniser.recognise(crops))
    return [_verdict(scene, picture, names) for scene, picture in zip(scenes, pictures, strict=True)]


def _verdict(scene: Scene, picture: Pixels, names: Iterable[str]) -> Verdict:
    # The crops follow scene.things, so the zip takes just this scene's names from the iterator.
    things = tuple(thing == name for thing, name in zip(scene.things, names, strict=False))
    return Verdict(
        layout=scene.layout,
        things=things,
        background=background_of(picture) == scene.background,
        count=count_objects(picture) == len(scene.things),
        relation=all(things) if scene.layout in ("beside", "stacked") else None,
    )


def summarise(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Shares (0 to 1) of what is right; a kind that does not occur is left out."""
    kinds = {
        "things": [right for verdict in verdicts for right in verdict.things],
        "things_single": [right for verdict in verdicts if verdict.layout == "single" for right in verdict.things],
        "things_multiple": [right for verdict in verdicts if verdict.layout != "single" for right in verdict.things],
        "background": [verdict.background for verdict in verdicts],
        "count": [verdict.count for verdict in verdicts],
        "relation": [verdict.relation for verdict in verdicts if verdict.relation is not None],
        "whole": [verdict.whole for verdict in verdicts],
    }
    return {kind: fmean(rights) for kind, rights in kinds.items() if rights}


def object_crops(scene: Scene, picture: Pixels) -> list[Pixels]:
    """Cut each object of the scene from its place, with a little margin: 40 px squares, or 72 px for a single one."""
    crops = []
    for x, y, size in places(scene):
        margin = size // 16
        crops.append(picture[y - margin : y + size + margin, x - margin : x + size + margin])
    return crops


def background_of(picture: Pixels) -> str:
    """The name of the background colour that the picture's border comes closest to."""
    border = _border_color(picture)
    distances = {
        name: float(color_distance(border, np.array(color, np.float32))) for name, color in BACKGROUNDS.items()
    }
    return min(distances, key=distances.__getitem__)


def count_objects(picture: Pixels) -> int:
    """How many separate objects stand out from the border's colour."""
    differs = color_distance(picture.astype(np.float32), _border_color(picture)) > _DIFFERENT
    labels, found = ndimage.label(ndimage.binary_fill_holes(differs), structure=np.ones((3, 3)))
    if not found:
        return 0
    areas = np.array([_area(box) for box in ndimage.find_objects(labels)])
    return int((areas >= max(_LEAST_AREA, _LEAST_SHARE * areas.max())).sum())


def _area(box: tuple[slice, ...]) -> int:
    rows, columns = box
    return int((rows.stop - rows.start) * (columns.stop - columns.start))


def _border_color(picture: Pixels) -> Colors:
    """The median colour of the outermost pixels, (3,)."""
    inner: npt.NDArray[np.bool_] = np.ones(picture.shape[:2], np.bool_)
    inner[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    return np.asarray(np.median(picture[inner], axis=0), np.float32)
