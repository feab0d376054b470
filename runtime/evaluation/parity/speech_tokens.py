"""The speech tokenizer: log-mel frames, hidden states and codes of clips, alone, together and cut in pieces."""

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.codecs.speech import SAMPLE_RATE_HZ
from runtime.codecs.speech_tokens import HOP_SAMPLES, SpeechTokenCodec, log_mel
from runtime.evaluation.parity.case import Case, Comparison
from runtime.evaluation.parity.golden import has_json, key_list, numbered, read_json, read_tensors
from runtime.models.checkpoints import load_weights
from runtime.models.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig

MEL_ATOL, HIDDEN_ATOL = 2e-4, 2e-3


def cases(root: Path) -> Iterator[Case]:
    folder = root / "speech_tokens"
    if not (path := folder / "cases.safetensors").is_file():
        return
    golden, config = read_tensors(path), read_json(folder / "config.json")
    for name in numbered(golden, "wav_"):
        yield Case(f"speech_tokens/clip {name}", partial(_clip, folder, golden, name))
    for name in sorted(name.removesuffix("_wav") for name in golden if name.endswith("_wav")):
        yield Case(f"speech_tokens/{name}", partial(_stereo, folder, golden, name))
    together = list(numbered(golden, "batch_tokens_"))
    if together:
        yield Case("speech_tokens/batch", partial(_batch, folder, golden, together))
    for entry in config["cases"]:
        if "recipe" in entry and f"{entry['case']}_tokens" in golden:
            yield Case(f"speech_tokens/{entry['case']}", partial(_made, folder, golden, entry))
    if has_json(keys := folder / "keys_published_size.json"):
        yield Case(
            "speech_tokens/published keys",
            lambda check: key_list(check, _network(config["published"], torch.device("meta")), keys),
        )


def _network(sizes: dict[str, Any], device: torch.device) -> SpeechTokenizer:
    with device:
        return SpeechTokenizer(SpeechTokenizerConfig.from_published(sizes))


def _tokenizer(folder: Path) -> SpeechTokenizer:
    network = _network(read_json(folder / "config.json")["small"], torch.device("cpu"))
    load_weights(network, folder / "weights.safetensors")
    return network.eval()


def _clip(folder: Path, golden: dict[str, Tensor], name: str, check: Comparison) -> None:
    network = _tokenizer(folder)
    samples = golden[f"wav_{name}"]
    wanted, mask = golden[f"mel_{name}"], golden[f"mel_mask_{name}"].bool()
    padded = torch.nn.functional.pad(samples, (0, wanted.shape[1] * HOP_SAMPLES - len(samples)))
    mel = log_mel(padded[None], network.config.num_mel_bins)
    check.close("mel", mel[0], wanted, MEL_ATOL)
    encoded = network(mel, mask[None])
    check.close("hidden", encoded.hidden[0], golden[f"hidden_before_vq_{name}"], HIDDEN_ATOL)
    check.exact("all codes", encoded.codes[0], golden[f"quantized_token_ids_{name}"])
    check.close("last hidden", network.embed(encoded.codes)[0], golden[f"last_hidden_state_{name}"], HIDDEN_ATOL)
    codes = SpeechTokenCodec(network).encode(samples.numpy(), SAMPLE_RATE_HZ)
    check.exact("codes", codes, golden[f"tokens_{name}"])


def _stereo(folder: Path, golden: dict[str, Tensor], name: str, check: Comparison) -> None:
    """The sample rate is at the end of the name: stereo22050."""
    rate = int(name.lstrip("abcdefghijklmnopqrstuvwxyz_"))
    samples = golden[f"{name}_wav"].T.contiguous().numpy()
    check.exact("codes", SpeechTokenCodec(_tokenizer(folder)).encode(samples, rate), golden[f"{name}_tokens"])


def _batch(folder: Path, golden: dict[str, Tensor], names: list[str], check: Comparison) -> None:
    clips = [(golden[f"wav_{name}"].numpy(), SAMPLE_RATE_HZ) for name in names]
    for name, codes in zip(names, SpeechTokenCodec(_tokenizer(folder)).encode_many(clips), strict=True):
        check.exact(f"codes {name}", codes, golden[f"batch_tokens_{name}"])


def _made(folder: Path, golden: dict[str, Tensor], entry: dict[str, Any], check: Comparison) -> None:
    samples = _waveform(entry["numpy_RandomState_seed"], entry["samples"])
    check.same("waveform", hashlib.sha256(samples.tobytes()).hexdigest(), entry["wav_sha256"])
    codes = SpeechTokenCodec(_tokenizer(folder)).encode(samples, SAMPLE_RATE_HZ)
    check.exact("codes", codes, golden[f"{entry['case']}_tokens"])


def _waveform(seed: int, num_samples: int) -> NDArray[np.float32]:
    """The recipe of the golden folder: noise, loud for half a second in each second and a half."""
    noise = np.random.RandomState(seed).randint(-9000, 9001, size=num_samples)
    loudness = 0.15 + 0.85 * ((np.arange(num_samples) // 8000) % 3 == 0)
    samples: NDArray[np.float32] = (noise * loudness).round().astype(np.float32) / np.float32(32768)
    return samples
