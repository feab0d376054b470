"""Makes `tests/golden` from a whole golden folder: the same files and format, the smallest cases of each kind.

python -m tests.support.trim_golden FULL_FOLDER tests/golden
"""

import gzip
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

Tensors = Mapping[str, Tensor]


def only(*prefixes: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if name.startswith(prefixes)}


def without(*parts: str) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if not any(part in name for part in parts)}


def everything(tensors: Tensors) -> Tensors:
    return tensors


# What is kept of each file.
KEPT: dict[str, Callable[[Tensors], Tensors]] = {
    "backbone/weights.safetensors": everything,
    "backbone/case_ids.safetensors": without("logits", "hidden_0"),
    "backbone/case_audio_scatter.safetensors": without("logits", "inputs_embeds"),
    "backbone/case_train_forward.safetensors": without("logits"),
    "sampler/cases.safetensors": everything,
    "image/weights.safetensors": without("quantize"),  # the table of all codes is made, not learned
    "image/tokenizer_cases.safetensors": only("tokens_random", "decoded_random"),
    "speech_in/frontend.safetensors": only(
        "cmvn", "wav_2", "fbank_2", "lfr_2", "features_2", "resample_in_24000", "resample_out_24000"
    ),
    "speech_tokens/weights.safetensors": everything,
    "speech_tokens/cases.safetensors": without("_0", "_1", "stereo", "long"),
    "speech_out/flow_weights.safetensors": everything,
    "speech_out/hift_weights.safetensors": everything,
    "speech_out/cases.safetensors": lambda tensors: without("harmonic_noise")(only("case2.")(tensors)),
    "training/cases.safetensors": everything,
}
COPIED = (
    "backbone/config.json", "sampler/cases.json", "sampler/transfer_schedule.json", "prompts/rendered.json",
    "prompts/token_layout.json", "image/config.json", "speech_in/am.mvn", "speech_in/lfr_index_table.json",
    "speech_tokens/config.json", "speech_out/config.json", "training/cases.json",
    *(f"generation_fullvocab/{name}" for name in ("config.json", "weights_without_embed_and_head.safetensors")),
)  # fmt: skip
COMPRESSED = tuple(f"{part}/keys_published_size.json" for part in ("backbone", "image", "speech_tokens", "speech_out"))
GENERATION = {
    "generation": (
        "audio_prompt_cfg", "block_entropy_uneven", "block_origin", "entropy_default_topp095",
        "entropy_topk_disabled_topp", "ids_path_penalty", "margin_fewsteps", "mask_token_predicted", "maskgit_algtemp",
        "maskgit_sampled", "origin_sampled_topp", "penalty_repeat12_pos2_fewsteps", "step_ratio",
    ),
    "generation_fullvocab": ("boa_block",),
}  # fmt: skip


def trim(full: Path, target: Path) -> None:
    for name, keep in KEPT.items():
        save_file(dict(keep(load_file(full / name))), made(target / name))
    for name in COPIED:
        copy(full / name, made(target / name))
    for name in COMPRESSED:
        made(target / f"{name}.gz").write_bytes(gzip.compress(compact(full / name), mtime=0))
    for folder, runs in GENERATION.items():
        for path in (full / folder / f"{run}{suffix}" for run in runs for suffix in (".json", ".safetensors")):
            copy(path, made(target / folder / path.name))


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def copy(source: Path, target: Path) -> None:
    """JSON without its blanks, anything else as it is."""
    target.write_bytes(compact(source) if source.suffix == ".json" else source.read_bytes())


def compact(source: Path) -> bytes:
    return json.dumps(json.loads(source.read_text()), separators=(",", ":")).encode() + b"\n"


if __name__ == "__main__":
    trim(Path(sys.argv[1]), Path(sys.argv[2]))
