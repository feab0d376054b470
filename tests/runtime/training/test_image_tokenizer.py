import numpy as np
import pytest
import torch

from runtime.training.image_tokenizer import edges, pixel_loss, psnr, straight_through, to_pixels


def test_signs_pass_gradients() -> None:
    latent = torch.tensor([[0.5, -2.0]])[:, :, None, None].requires_grad_()
    signs, entropy = straight_through(latent)
    assert signs.flatten().tolist() == [1.0, -1.0]
    (signs.sum() + entropy).backward()
    assert latent.grad is not None
    assert bool((latent.grad != 0).all())


def test_entropy_is_largest_when_every_bit_is_used_evenly() -> None:
    even = torch.tensor([1.0, -1.0])[:, None, None, None].expand(2, 1, 2, 2)
    assert float(straight_through(even)[1]) > float(straight_through(torch.ones(2, 1, 2, 2))[1])


def test_psnr_of_a_known_error() -> None:
    assert psnr(torch.full((1, 3, 4, 4), 0.2), torch.zeros(1, 3, 4, 4)) == pytest.approx(20.0)


def test_flat_differences_have_no_edges() -> None:
    flat = torch.full((1, 3, 4, 4), 0.3)
    assert float(edges(flat)) == 0.0
    assert float(pixel_loss(flat, 1.0)) == pytest.approx(0.3 + 0.5 * 0.09)


def test_pixels_are_between_minus_one_and_one() -> None:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[0] = 255
    pixels = to_pixels([picture])
    assert pixels.shape == (1, 3, 8, 8)
    assert (float(pixels.min()), float(pixels.max())) == (-1.0, 1.0)
