"""Whole generations by the published code: every step, with the small model and with the published vocabulary."""

import hashlib
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from runtime.diffusion.canvas import SpeechRows
from runtime.diffusion.reference import ReferenceDecoding
from runtime.diffusion.reference_rule import ReferenceRule
from runtime.engine.reference import ReferencePrompt, generate
from runtime.evaluation.parity.backbone import golden_backbone
from runtime.evaluation.parity.case import Case, Comparison
from runtime.evaluation.parity.golden import config_of, numbered, read_json, read_tensors
from runtime.executors.in_process import InProcessExecutor
from runtime.models.backbone import Backbone, BackboneConfig
from runtime.models.checkpoints import load_weights

CONFIDENCE_ATOL = 1e-4
STORED_WEIGHTS = "weights_without_embed_and_head.safetensors"


def cases(root: Path) -> Iterator[Case]:
    for path in _recordings(root / "generation"):
        yield Case(f"generation/{path.stem}", partial(_small, root, path))
    for path in _recordings(root / "generation_fullvocab"):
        yield Case(f"generation_fullvocab/{path.stem}", partial(_full_vocabulary, path))


def _recordings(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.json")) if "final_sequence" in read_json(path)]


def _small(root: Path, path: Path, check: Comparison) -> None:
    _run(golden_backbone(root), path, check)


def _full_vocabulary(path: Path, check: Comparison) -> None:
    _run(full_vocabulary_backbone(path.parent, check), path, check)


def full_vocabulary_backbone(folder: Path, check: Comparison) -> Backbone:
    """The recorded weights with the two large matrices made again from their seeds."""
    sizes = read_json(folder / "config.json")
    weights = read_tensors(folder / STORED_WEIGHTS)
    for name, recipe in sizes["generated_tensors"].items():
        numbers = np.random.RandomState(recipe["numpy_RandomState_seed"])
        values = (numbers.standard_normal(size=recipe["shape"]) * recipe["scale"]).astype("<f4")
        check.same(f"bytes of {name}", hashlib.sha256(values.tobytes()).hexdigest(), recipe["sha256"])
        weights[name] = torch.from_numpy(values)
    network = Backbone(config_of(BackboneConfig, sizes["dream"]))
    with tempfile.TemporaryDirectory() as place:
        save_file(weights, Path(place) / "weights.safetensors")
        load_weights(network, Path(place) / "weights.safetensors")
    return network.eval()


def _run(network: Backbone, path: Path, check: Comparison) -> None:
    recording = read_json(path)
    tensors = read_tensors(path.with_suffix(".safetensors"))
    _scale_head(network, recording)
    rule = _rule(recording)
    check.same(
        "values in force",
        (rule.top_k or None, rule.num_steps, rule.last_time),
        (recording["effective_top_k"], recording["effective_steps"], recording["effective_eps"]),
    )
    check.same(
        "top_p in force", rule.top_p, 1.0 if recording["effective_top_p"] is None else recording["effective_top_p"]
    )
    seed = recording["torch_seed"]
    history = generate(
        InProcessExecutor(network, "float32"),
        _prompt(network, recording, tensors),
        rule,
        mask_id=recording["mask_token_id"],
        vocab_size=network.config.vocab_size,
        generator=None if seed is None else torch.Generator().manual_seed(seed),
    )
    _compare(history, recording, tensors, check)


def _scale_head(network: Backbone, recording: dict[str, Any]) -> None:
    network.lm_head.weight.data *= recording["lm_head_multiplier"]
    network.lm_head.weight.data[recording["mask_token_id"]] *= recording.get("lm_head_mask_row_multiplier", 1.0)


def _rule(recording: dict[str, Any]) -> ReferenceRule:
    """From what the caller passed: the defaults are ours to fill in."""
    passed = {name: value for name, value in recording["arguments"].items() if name != "task"}
    if recording.get("boa_token_id") is not None:
        passed["boa_token_id"] = recording["boa_token_id"]
    return ReferenceRule.published(**passed)


def _prompt(network: Backbone, recording: dict[str, Any], tensors: dict[str, Tensor]) -> ReferencePrompt:
    unprompted = recording["cfg_unconditional_ids"]
    return ReferencePrompt(
        torch.tensor(recording["prompt_ids"]),
        _speech(network, tensors),
        None if unprompted is None else torch.tensor(unprompted),
        as_ids="input ids" in recording["entry"],
    )


def _speech(network: Backbone, tensors: dict[str, Tensor]) -> tuple[SpeechRows, ...]:
    names = [name for name in numbered(tensors, "audio_") if name.isdigit()]
    if not names:
        return ()
    clips = [tensors[f"audio_{name}"] for name in names]
    features = pad_sequence(clips, batch_first=True).bfloat16().float()  # as the reference always rounds them
    rows, lengths = network.encode_speech(features, torch.tensor([len(clip) for clip in clips]))
    return tuple(
        SpeechRows(int(tensors[f"audio_indices_{name}"][1, 0, 0]), rows[i, : int(lengths[i])].detach())
        for i, name in enumerate(names)
    )


def _compare(
    history: tuple[ReferenceDecoding, ...], recording: dict[str, Any], tensors: dict[str, Tensor], check: Comparison
) -> None:
    records = [decoding.last for decoding in history[1:] if decoding.last is not None]
    if recording.get("boa_position") is not None:
        at = recording["boa_position"]
        check.same("begin of audio", int(history[0].token_ids[at]), recording["boa_token_id"])
    check.same("number of steps", len(records), recording["n_history"])
    changed = [_changes(before, after) for before, after in pairwise(history)]
    check.same(f"{len(changed)} steps", changed, recording["steps"])
    check.exact("final sequence", history[-1].token_ids, recording["final_sequence"])
    check.same("rows seen", [len(record.rows) for record in records], recording["rows_seen_by_sampler"])
    check.exact("first tokens", records[0].tokens, tensors["first_call_tokens"])
    check.close("first confidence", records[0].confidence, tensors["first_call_confidence"], CONFIDENCE_ATOL)
    if "uniform_draws" in tensors:
        draws = [record.draws for record in records if record.draws is not None]
        check.same("draws a step", [len(drawn) for drawn in draws], recording["uniform_draws_per_step"])
        check.exact("draws", torch.cat(draws), tensors["uniform_draws"])


def _changes(before: ReferenceDecoding, after: ReferenceDecoding) -> list[list[int]]:
    """[position, token] of all that changed in a step."""
    places = (before.token_ids != after.token_ids).nonzero()[:, 0]
    return [[int(place), int(after.token_ids[place])] for place in places]
