import torch

from runtime.models.image_tokenizer import ImageTokenizer, ImageTokenizerConfig, StageConfig


@torch.inference_mode()
def test_patches_make_the_same_network_cheaper() -> None:
    torch.manual_seed(0)
    half = StageConfig(ch=32, ch_mult=(1, 1), num_res_blocks=(1, 1), patch_size=4)
    tokenizer = ImageTokenizer(ImageTokenizerConfig(half, half, codebook_dim=6)).eval()
    codes = tokenizer.encode(torch.rand(2, 3, 40, 24) * 2 - 1)
    assert codes.shape == (2, 5, 3)
    assert 0 <= int(codes.min()) <= int(codes.max()) < tokenizer.config.num_codes == 64
    assert tokenizer.decode(codes).shape == (2, 3, 40, 24)


@torch.inference_mode()
def test_the_most_significant_bit_is_the_sign_of_the_first_channel() -> None:
    half = StageConfig(ch=32, ch_mult=(1, 1), num_res_blocks=(1, 1), patch_size=4)
    tokenizer = ImageTokenizer(ImageTokenizerConfig(half, half, codebook_dim=3)).eval()
    table = tokenizer.quantize.embedding
    assert table[0].tolist() == [-1, -1, -1]
    assert table[4].tolist() == [1, -1, -1]
    assert table[1].tolist() == [-1, -1, 1]
