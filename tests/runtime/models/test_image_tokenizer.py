import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from runtime.codecs.image import ImageCodec
from runtime.models.image_tokenizer import ImageTokenizer, ImageTokenizerConfig, StageConfig

GOLDEN = Path(__file__).parents[2] / "golden" / "image"
TENSORS = load_file(GOLDEN / "tokenizer_cases.safetensors")


def stage(sizes: dict[str, Any]) -> StageConfig:
    return StageConfig(sizes["ch"], tuple(sizes["ch_mult"]), tuple(sizes["num_res_blocks"]))


@pytest.fixture(scope="module")
def golden() -> ImageTokenizer:
    sizes = json.loads((GOLDEN / "config.json").read_text())
    config = ImageTokenizerConfig(stage(sizes["encoder"]), stage(sizes["decoder"]), sizes["codebook_dim"])
    tokenizer = ImageTokenizer(config)
    missing, unknown = tokenizer.load_state_dict(load_file(GOLDEN / "weights.safetensors"), strict=False)
    assert (sorted(missing), unknown) == (["quantize.embedding", "quantize.power_vals"], [])
    return tokenizer.eval()


@torch.inference_mode()
def test_pictures_encode_as_published(golden: ImageTokenizer) -> None:
    pixels = TENSORS["pixels_1"]
    torch.testing.assert_close(golden.encoder(pixels), TENSORS["encoder_out_1"], atol=1e-4, rtol=0)
    codes = golden.encode(pixels)
    assert codes.shape == (2, 24, 16)
    assert torch.equal(codes.flatten(1), TENSORS["codes_1"])


@torch.inference_mode()
def test_codes_decode_as_published(golden: ImageTokenizer) -> None:
    decoded = golden.decode(TENSORS["codes_1"][:1].view(1, 24, 16))
    torch.testing.assert_close(decoded, TENSORS["decoded_1"], atol=2e-4, rtol=0)
    random = golden.decode(TENSORS["tokens_random"].view(1, 6, 6))
    torch.testing.assert_close(random, TENSORS["decoded_random"], atol=2e-4, rtol=0)


def test_decoded_pixels_are_rounded_as_published(golden: ImageTokenizer) -> None:
    pixels = ImageCodec(golden, size_px=16).decode(TENSORS["tokens_random"].view(6, 6))
    difference = torch.from_numpy(pixels).int() - TENSORS["decoded_random_uint8_rgb"][0].int()
    assert difference.abs().max() <= 1


def test_at_published_size_every_key_has_the_published_shape() -> None:
    with torch.device("meta"):
        tokenizer = ImageTokenizer(
            ImageTokenizerConfig(
                StageConfig(128, (1, 2, 2, 4, 4), (4, 3, 4, 3, 4)), StageConfig(128, (1, 1, 2, 2, 4), (4, 4, 3, 4, 3))
            )
        )
    shapes = {name: list(tensor.shape) for name, tensor in tokenizer.state_dict().items()}
    assert shapes == json.loads((GOLDEN / "keys_published_size.json").read_text())
    assert tokenizer.config.downsampling == 16


@torch.inference_mode()
def test_patches_make_the_same_network_cheaper() -> None:
    torch.manual_seed(0)
    half = StageConfig(ch=32, ch_mult=(1, 1), num_res_blocks=(1, 1), patch_size=4)
    tokenizer = ImageTokenizer(ImageTokenizerConfig(half, half, codebook_dim=6)).eval()
    codes = tokenizer.encode(torch.rand(2, 3, 40, 24) * 2 - 1)
    assert codes.shape == (2, 5, 3)
    assert 0 <= int(codes.min()) <= int(codes.max()) < tokenizer.config.num_codes == 64
    assert tokenizer.decode(codes).shape == (2, 3, 40, 24)
