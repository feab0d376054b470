"""The image tokenizer and the preprocessing of pictures."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runtime.codecs.image import ImageCodec, fit_square
from runtime.evaluation.parity.case import Case, Comparison
from runtime.evaluation.parity.golden import has_json, key_list, numbered, read_json, read_tensors
from runtime.models.checkpoints import load_weights
from runtime.models.image_tokenizer import ImageTokenizer, ImageTokenizerConfig, StageConfig

ENCODER_ATOL, DECODER_ATOL, PIXELS_ATOL = 1e-4, 2e-4, 1
OTHER_PIXELS = 0.01  # share that may be one off where Pillow is of another version
PUBLISHED = ImageTokenizerConfig(
    StageConfig(128, (1, 2, 2, 4, 4), (4, 3, 4, 3, 4)), StageConfig(128, (1, 1, 2, 2, 4), (4, 4, 3, 4, 3))
)


def cases(root: Path) -> Iterator[Case]:
    folder = root / "image"
    if (path := folder / "tokenizer_cases.safetensors").is_file():
        golden = read_tensors(path)
        for name in numbered(golden, "pixels_"):
            yield Case(f"image/pixels {name}", partial(_round_trip, folder, golden, name))
        for name in numbered(golden, "tokens_"):
            yield Case(f"image/tokens {name}", partial(_decode, folder, golden, name))
    if (path := folder / "preprocess.json").is_file():
        golden = read_tensors(folder / "preprocess.safetensors")
        for entry in read_json(path)["cases"]:
            name = f"image/preprocess {entry['image']} to {entry['resolution']}"
            yield Case(name, partial(_preprocess, golden, entry))
    if has_json(keys := folder / "keys_published_size.json"):
        yield Case("image/published keys", lambda check: key_list(check, _published(), keys))


def _published() -> ImageTokenizer:
    with torch.device("meta"):
        return ImageTokenizer(PUBLISHED)


def _tokenizer(folder: Path) -> ImageTokenizer:
    sizes = read_json(folder / "config.json")
    network = ImageTokenizer(
        ImageTokenizerConfig(_stage(sizes["encoder"]), _stage(sizes["decoder"]), sizes["codebook_dim"])
    )
    load_weights(network, folder / "weights.safetensors")
    return network.eval()


def _stage(sizes: dict[str, Any]) -> StageConfig:
    return StageConfig(sizes["ch"], tuple(sizes["ch_mult"]), tuple(sizes["num_res_blocks"]))


def _round_trip(folder: Path, golden: dict[str, Tensor], name: str, check: Comparison) -> None:
    network = _tokenizer(folder)
    pixels, latents = golden[f"pixels_{name}"], golden[f"encoder_out_{name}"]
    check.close("encoder", network.encoder(pixels), latents, ENCODER_ATOL)
    codes = network.encode(pixels)
    check.exact("codes", codes.flatten(1), golden[f"codes_{name}"])
    signs = golden[f"dequantized_{name}"]
    check.exact("signs", network.quantize.embedding[codes].permute(0, 3, 1, 2).int(), signs.int())
    wanted = golden[f"decoded_{name}"]
    check.close("decoder", network.decode(codes[: len(wanted)]), wanted, DECODER_ATOL)


def _decode(folder: Path, golden: dict[str, Tensor], name: str, check: Comparison) -> None:
    network = _tokenizer(folder)
    tokens = golden[f"tokens_{name}"]
    side = int(tokens.shape[1] ** 0.5)
    codes = tokens.view(len(tokens), side, side)
    check.close("decoder", network.decode(codes), golden[f"decoded_{name}"], DECODER_ATOL)
    pixels = golden[f"decoded_{name}_uint8_rgb"]
    codec = ImageCodec(network, side * network.config.downsampling)
    ours = torch.stack([torch.from_numpy(codec.decode(grid)) for grid in codes])
    check.close("pixels", ours, pixels, PIXELS_ATOL)


def _preprocess(golden: dict[str, Tensor], entry: dict[str, Any], check: Comparison) -> None:
    image, resolution = entry["image"], entry["resolution"]
    ours = torch.from_numpy(fit_square(golden[f"image_{image}"].numpy(), resolution)).permute(2, 0, 1)
    stored = golden[f"out_{image}_{resolution}_uint8"]
    stride = -(-resolution // stored.shape[1])
    seen = ours[:, ::stride, ::stride]
    check.close("pixels", seen, stored, PIXELS_ATOL)
    check.same("share of other pixels within 1 %", float((seen != stored).float().mean()) <= OTHER_PIXELS, True)
    normalised = (ours / 255 - 0.5) / 0.5
    first_rows = golden.get(f"out_{image}_{resolution}_float_rows0_8")
    if first_rows is not None:
        check.close("first rows", normalised[:, : first_rows.shape[1]], first_rows, 2 * PIXELS_ATOL / 255)
    # A pixel in a hundred may be one off: that much the sum may differ.
    slack = torch.tensor(2 / 255 * OTHER_PIXELS * normalised.numel())
    check.close("sum", normalised.double().sum(), torch.tensor(entry["sum"]).double(), float(slack))
