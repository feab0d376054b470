"""The token sampler and the reveal schedule, by themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from runtime.diffusion.confidence import ConfidenceRule
from runtime.diffusion.mask_schedule import num_to_unmask
from runtime.diffusion.reference import PREFIX_TOKEN
from runtime.diffusion.reference_sampler import choose
from runtime.diffusion.sampler import keep_best
from runtime.evaluation.parity.case import Case, Comparison
from runtime.evaluation.parity.golden import numbered, read_json, read_tensors

FLOAT32_ATOL, BFLOAT16_RTOL, BFLOAT16_EQUAL_TOKENS = 1e-5, 2e-2, 0.95
FILTERED = "topp"  # tensors "topp90_filtered_keep"


@dataclass(frozen=True)
class _Rule:
    """A sampler's numbers, all off."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repeat_penalty: float = 1.0
    position_penalty: float = 1.0


def cases(root: Path) -> Iterator[Case]:
    folder = root / "sampler"
    if (path := folder / "cases.json").is_file():
        golden = read_tensors(folder / "cases.safetensors")
        for recording in read_json(path):
            yield Case(f"sampler/{recording['name']}", partial(_sample, golden, recording))
        for name in numbered(golden, FILTERED):
            yield Case(f"sampler/{FILTERED}{name}", partial(_filter, golden, name))
    if (path := folder / "transfer_schedule.json").is_file():
        yield Case("sampler/schedule", partial(_schedule, read_json(path)))


def _sample(golden: dict[str, Tensor], recording: dict[str, Any], check: Comparison) -> None:
    given, name = recording["arguments"], recording["name"]
    rule = _Rule(
        top_k=given.get("top_k") or 0,
        top_p=given.get("top_p", 1.0),
        repeat_penalty=given.get("repeat_penalty", 1.0),
        position_penalty=given.get("max_position_penalty", 1.0),
    )
    dtype = getattr(torch, recording["dtype"])
    past = golden["past_x"].flatten()
    used = past[(past != PREFIX_TOKEN) & (past != recording["mask_id"])]
    choice = choose(golden["logits"][: recording["rows"]].to(dtype), rule, _ranking(given), used)
    tokens, confidence = golden[f"{name}.tokens"], golden[f"{name}.confidence"]
    if dtype == torch.float32:
        check.exact("tokens", choice.tokens, tokens)
        check.close("confidence", choice.confidence, confidence, FLOAT32_ATOL)
    else:
        equal = float((choice.tokens == tokens).float().mean())
        check.same(f"{equal:.1%} of the tokens, 95 % at least", equal >= BFLOAT16_EQUAL_TOKENS, True)
        check.close("confidence", choice.confidence, confidence, 0.0, BFLOAT16_RTOL)


def _ranking(given: dict[str, Any]) -> ConfidenceRule:
    if given.get("neg_entropy"):
        return "entropy"
    return "margin" if given.get("margin_confidence") else "probability"


def _filter(golden: dict[str, Tensor], name: str, check: Comparison) -> None:
    """The tensor's own name says the mass: "90_filtered_keep"."""
    kept = keep_best(golden["logits"], top_p=int(name.split("_")[0]) / 100) > -torch.inf
    check.exact("columns kept", kept.int(), golden[f"{FILTERED}{name}"].int())


def _schedule(table: list[dict[str, Any]], check: Comparison) -> None:
    for entry in table:
        masked, steps, counts = entry["max_new_tokens"], entry["steps"], []
        for step in range(steps):
            counts.append(num_to_unmask("linear", masked, step, steps))
            masked -= counts[-1]
        check.same(f"{entry['max_new_tokens']} in {steps} steps", counts, entry["unmasked_per_step"])
