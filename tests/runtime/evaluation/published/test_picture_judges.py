import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from runtime.evaluation.published.errors import DataError, SetupError
from runtime.evaluation.published.picture_judges import ClipJudge, OpenClip, Pixels, ProbeJudge
from runtime.training.data.scenes import blank
from runtime.training.world import BACKGROUNDS


class AlwaysApple:
    def recognise(self, crops: Sequence[Pixels]) -> list[str]:
        return ["apple"] * len(crops)


def apple_on_blue() -> Pixels:
    picture = blank(BACKGROUNDS["blue"])
    picture[8:72, 8:72] = (200, 20, 30)
    return picture


def test_the_probe_judges_what_the_prompt_asks_for() -> None:
    prompts = ["draw an apple on a blue background", "Draw a dog on a red background."]
    found = {measure.name: measure for measure in ProbeJudge(AlwaysApple())(prompts, [apple_on_blue()] * 2)}
    assert found["things"].value == 0.5
    assert found["background"].value == 0.5
    assert found["count"].value == 1.0
    assert found["things"].num == 2
    assert "relation" not in found


def test_the_probe_judges_its_own_world_alone() -> None:
    with pytest.raises(DataError, match=r"'a photo of a skyline'.*one that does: draw"):
        list(ProbeJudge(AlwaysApple())(["a photo of a skyline"], [apple_on_blue()]))
    with pytest.raises(DataError, match=r"80 x 80 px.*\(64, 64, 3\)"):
        list(ProbeJudge(AlwaysApple())(["an apple on a blue background"], [np.zeros((64, 64, 3), np.uint8)]))


class Angles:
    """Pictures point along the first axis; a text by the angle it names."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def pictures(self, pictures: Sequence[Pixels]) -> Tensor:
        self.batches.append(len(pictures))
        return torch.tensor([[1.0, 0.0]] * len(pictures))

    def texts(self, texts: Sequence[str]) -> Tensor:
        radians = torch.tensor([float(text) for text in texts]).deg2rad()
        return torch.stack([radians.cos(), radians.sin()], 1)


def test_the_clip_score_is_the_cosine_and_never_below_nothing() -> None:
    clip = Angles()
    (score,) = ClipJudge(clip, batch=2)(["0", "60", "180"], [apple_on_blue()] * 3)
    assert score.value == pytest.approx((100 + 50 + 0) / 3, abs=1e-4)
    assert (score.num, score.unit) == (3, "points")
    assert clip.batches == [2, 1]


def test_a_folder_without_a_clip_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SetupError, match=r"no open_clip_config\.json"):
        OpenClip(tmp_path)
    (tmp_path / "open_clip_config.json").touch()
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(SetupError, match="open_clip_torch is not installed"):
        OpenClip(tmp_path)
