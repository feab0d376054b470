import torch

from runtime.models.speech_flow.conformer import Conformer, ConformerConfig, distance_encoding

CONFIG = ConformerConfig(6, 8, attention_heads=2, linear_units=12, num_blocks=2, block_size=3)


@torch.inference_mode()
def test_a_code_sees_its_block_and_what_came_before() -> None:
    torch.manual_seed(0)
    network = Conformer(CONFIG).eval()
    codes = torch.randn(1, 9, 6)
    changed = codes.clone()
    changed[:, 4] += 1  # in the second block
    before, after = network(codes), network(changed)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3], after[:, 3])
    assert not torch.allclose(before[:, 8], after[:, 8])


def test_distances_run_from_far_ahead_to_far_behind() -> None:
    encoded = distance_encoding(4, 6)
    assert encoded.shape == (7, 6)
    torch.testing.assert_close(encoded[3], torch.tensor([0.0, 1.0] * 3))
    torch.testing.assert_close(encoded[:3].flip(0)[:, 0::2], -encoded[4:][:, 0::2])
    torch.testing.assert_close(encoded[:3].flip(0)[:, 1::2], encoded[4:][:, 1::2])
