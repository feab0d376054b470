import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from runtime.training.run import TrainingRun


def run_in(folder: Path, steps: int) -> tuple[TrainingRun, nn.Linear]:
    torch.manual_seed(0)
    network = nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    return TrainingRun(folder, network, [optimizer], steps, warmup=2, decay_from=0.5), network


def fit(run: TrainingRun, network: nn.Linear) -> None:
    def loss_of(rng: random.Random) -> dict[str, Tensor]:
        x = torch.randn(8, 2, generator=torch.Generator().manual_seed(rng.getrandbits(32)))
        return {"loss": (network(x) - x.sum(1, keepdim=True)).pow(2).mean()}

    run.train(loss_of, lambda: {"weight": float(network.weight.detach()[0, 0])})


def test_learns_and_leaves_a_curve(tmp_path: Path) -> None:
    run, network = run_in(tmp_path / "run", 120)
    fit(run, network)
    assert torch.allclose(network.weight, torch.ones(1, 2), atol=0.2)
    assert {"checkpoint.pt", "history.jsonl", "curve.png"} <= {path.name for path in run.folder.iterdir()}
    assert run.history[-1]["step"] == 120


def test_goes_on_from_where_it_was_saved(tmp_path: Path) -> None:
    first, network = run_in(tmp_path / "run", 10)
    fit(first, network)
    again, restored = run_in(tmp_path / "run", 20)
    assert again.step == 10
    assert torch.equal(restored.weight, network.weight)
    fit(again, restored)
    assert again.step == 20


def test_learning_rate_warms_up_stays_and_falls(tmp_path: Path) -> None:
    run, _ = run_in(tmp_path / "run", 10)
    rates = []
    for _ in run._steps():
        rates.append(run.optimizers[0].param_groups[0]["lr"])
        run.step += 1
    assert rates[0] == pytest.approx(0.05)
    assert rates[2] == rates[5] == pytest.approx(0.1)
    assert rates[9] < rates[7] < 0.1
