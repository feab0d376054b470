import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from runtime.codecs.speech import SpeechFrontEnd, resample, stack_frames

GOLDEN = Path(__file__).parents[2] / "golden" / "speech_in"


def test_frames_are_stacked_as_published() -> None:
    for case in json.loads((GOLDEN / "lfr_index_table.json").read_text()):
        frames = torch.arange(case["frames"]).float()[:, None].expand(-1, 80)
        assert stack_frames(frames)[:, ::80].int().tolist() == case["frame_index_of_each_slot"]


@pytest.mark.parametrize("rate", [8000, 22_050, 24_000, 44_100, 48_000])
def test_resampling_keeps_a_tone(rate: int) -> None:
    resampled = resample(torch.sin(2 * math.pi * 440 * torch.arange(rate) / rate), rate)
    expected = torch.sin(2 * math.pi * 440 * torch.arange(16_000) / 16_000)
    assert len(resampled) == 16_000
    torch.testing.assert_close(resampled[400:-400], expected[400:-400], atol=5e-3, rtol=0)


@pytest.mark.parametrize("num_samples", [1, 399, 400, 16_000])
def test_there_is_a_row_every_60_ms_and_one_at_least(num_samples: int) -> None:
    front_end = SpeechFrontEnd(torch.zeros(560), torch.ones(560))
    features = front_end(np.ones(num_samples, np.int16), 16_000)
    frames = max(0, num_samples - 400) // 160 + 1
    assert features.shape == (math.ceil(frames / 6), 560)
    assert features.isfinite().all()


def test_a_level_makes_quiet_and_loud_speech_alike() -> None:
    front_end = SpeechFrontEnd(torch.zeros(560), torch.ones(560), level=0.1)
    loud = (np.random.default_rng(0).normal(size=8000) * 5000).astype(np.int16)
    torch.testing.assert_close(front_end(loud, 16_000), front_end(loud // 10, 16_000), atol=0.3, rtol=0)
    assert front_end(np.zeros(8000, np.int16), 16_000).isfinite().all()


def test_a_file_that_is_no_mvn_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "am.mvn"
    path.write_text("<Nnet> [ 1 2 3 ]")
    with pytest.raises(ValueError, match="AddShift"):
        SpeechFrontEnd.from_mvn(path)
