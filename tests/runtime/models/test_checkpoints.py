from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from runtime.models.checkpoints import CheckpointError, load_weights, save_weights


class Tied(nn.Module):
    def __init__(self, size: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(size, 3)
        self.head = nn.Linear(3, size, bias=False)
        self.head.weight = self.embed.weight


def test_round_trip_keeps_ties(tmp_path: Path) -> None:
    saved, loaded = Tied(), Tied()
    save_weights(saved, tmp_path / "w.safetensors")
    load_weights(loaded, tmp_path / "w.safetensors")
    assert torch.allclose(saved.embed.weight, loaded.embed.weight, atol=1e-3)
    assert loaded.head.weight is loaded.embed.weight


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.safetensors: no such file"):
        load_weights(Tied(), tmp_path / "gone.safetensors")


def test_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(Tied(), path)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="damaged"):
        load_weights(Tied(), path)


def test_every_misfit_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"embed.weight": torch.zeros(5, 3), "extra": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="extra is not part of this network") as caught:
        load_weights(Tied(), path)
    assert "embed.weight has shape (5, 3), the config asks for (4, 3)" in str(caught.value)
