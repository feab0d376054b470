import pytest
import torch

from runtime.models.speech_flow.unet import UNet, UNetConfig

CONFIG = UNetConfig(12, 5, (16, 16), attention_head_dim=4, n_blocks=1, num_mid_blocks=2, num_heads=2)


@pytest.mark.parametrize("frames", [1, 6, 7])
@torch.inference_mode()
def test_a_velocity_for_every_frame(frames: int) -> None:
    torch.manual_seed(0)
    network = UNet(CONFIG).eval()
    assert network(torch.randn(1, 12, frames), torch.tensor([0.3])).shape == (1, 5, frames)


@torch.inference_mode()
def test_time_matters() -> None:
    torch.manual_seed(0)
    network, x = UNet(CONFIG).eval(), torch.randn(1, 12, 6)
    assert not torch.allclose(network(x, torch.tensor([0.1])), network(x, torch.tensor([0.9])))


@torch.inference_mode()
def test_rows_of_a_batch_do_not_mix() -> None:
    torch.manual_seed(0)
    network, x, time = UNet(CONFIG).eval(), torch.randn(3, 12, 6), torch.tensor([0.1, 0.5, 0.9])
    together = network(x, time)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], network(x[i : i + 1], time[i : i + 1]))
