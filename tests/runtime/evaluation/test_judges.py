import sys
from pathlib import Path

import numpy as np
import pytest

from runtime.engine.request import SpeechPart
from runtime.evaluation.judges import MOS_PACKAGES, DistillMos, _importable, recogniser_of
from runtime.evaluation.published.errors import SetupError

JUDGE = """
import os
import torch
import torchaudio
DEFAULT_WEIGHTS_CHKPT = os.path.join(os.path.dirname(__file__), "weights.pt")
class ConvTransformerSQAModel(torch.nn.Module):
    def __init__(self, load_weights):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(()))
    def forward(self, samples):
        return samples.shape[1] / 16_000 + self.bias[None]
"""


def test_a_folder_that_holds_no_recogniser_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"no model.bin here"):
        recogniser_of(str(tmp_path), tmp_path)


def test_packages_are_importable_only_meanwhile(tmp_path: Path) -> None:
    (tmp_path / "only_here_for_a_test.py").write_text("import torchaudio")
    before = list(sys.path)
    with _importable([tmp_path]):
        import only_here_for_a_test  # type: ignore[import-not-found]  # noqa: F401
    assert sys.path == before
    assert "torchaudio" not in sys.modules


def test_what_sounds_natural_is_judged_at_sixteen_kilohertz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    folder = tmp_path / "packages" / MOS_PACKAGES[0].folder_name / "distillmos"
    folder.mkdir(parents=True)
    (tmp_path / "packages" / MOS_PACKAGES[1].folder_name).mkdir()
    (folder / "__init__.py").touch()
    (folder / "sqa.py").write_text(JUDGE)
    torch.save({"model": {"bias": torch.tensor(3.0)}}, folder / "weights.pt")
    for name in ("distillmos", "distillmos.sqa"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert DistillMos(tmp_path).score(SpeechPart(np.zeros(12_000, np.int16), 24_000)) == pytest.approx(3.5)
    for name in ("distillmos", "distillmos.sqa"):
        monkeypatch.delitem(sys.modules, name)
