import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from runtime.diffusion.confidence import ConfidenceRule, confidence
from runtime.diffusion.sampler import (
    draw,
    forbid,
    keep_best,
    penalise_late_ranks,
    penalise_repeats,
    sample,
    shortlist,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "sampler"
# Filtered cases and those in bfloat16 are the reference sampler's: this one ranks before it filters, in float32.
CASES = [
    case
    for case in json.loads((GOLDEN / "cases.json").read_text())
    if case["dtype"] == "float32" and not {"top_p", "top_k"} & case["arguments"].keys()
]
NONE_USED = torch.empty(0, dtype=torch.long)


@dataclass(frozen=True)
class Rule:
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repeat_penalty: float = 1.0
    position_penalty: float = 1.0


def rank_rule(arguments: dict[str, Any]) -> ConfidenceRule:
    if arguments.get("margin_confidence"):
        return "margin"
    return "entropy" if arguments.get("neg_entropy") else "probability"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_golden(case: dict[str, Any]) -> None:
    tensors = load_file(GOLDEN / "cases.safetensors")
    given = case["arguments"]
    rule = Rule(
        repeat_penalty=given.get("repeat_penalty", 1.0),
        position_penalty=given.get("max_position_penalty", 1.0),
    )
    past = tensors["past_x"].flatten()
    used = past[(past != 0) & (past != case["mask_id"])] if case["mask_id"] is not None else NONE_USED
    candidates = sample(tensors["logits"][: case["rows"]], rule, used)
    ranks = confidence(rank_rule(given), candidates.probabilities, candidates.tokens)
    assert torch.equal(candidates.tokens, tensors[f"{case['name']}.tokens"])
    assert torch.allclose(ranks, tensors[f"{case['name']}.confidence"], rtol=0, atol=1e-5)


def test_filters_decide_what_is_drawn_and_not_how_sure_it_is() -> None:
    torch.manual_seed(0)
    scores, draws = torch.randn(40, 30), torch.rand(40)
    free = sample(scores, Rule(temperature=1.0), NONE_USED, draws)
    filtered = sample(scores, Rule(temperature=1.0, top_k=3, top_p=0.9), NONE_USED, draws)
    assert torch.equal(free.probabilities, filtered.probabilities)
    best = scores.topk(3).indices
    assert bool((filtered.tokens[:, None] == best).any(-1).all())
    assert not bool((free.tokens[:, None] == best).any(-1).all())


def test_golden_nucleus() -> None:
    tensors = load_file(GOLDEN / "cases.safetensors")
    kept = keep_best(tensors["logits"], top_p=0.9) > -torch.inf
    assert torch.equal(kept, tensors["topp90_filtered_keep"].bool())


def test_the_token_that_crosses_the_mass_stays_in() -> None:
    scores = torch.tensor([[0.1, 0.5, 0.4]]).log()
    assert (keep_best(scores, top_p=0.6) > -torch.inf).tolist() == [[False, True, True]]
    assert (keep_best(scores, top_p=0.4) > -torch.inf).tolist() == [[False, True, False]]


def test_the_best_token_stays_however_small_the_mass() -> None:
    assert int((keep_best(torch.randn(3, 7), top_p=0.0) > -torch.inf).sum()) == 3


def test_top_k_wider_than_the_vocabulary_keeps_all() -> None:
    scores = torch.randn(2, 5)
    assert torch.equal(keep_best(scores, top_k=50), scores)


def test_top_k_and_top_p_together_keep_what_both_keep() -> None:
    scores = torch.randn(40, 60, generator=torch.Generator().manual_seed(3)) * 2
    both = keep_best(scores, top_k=5, top_p=0.8) > -torch.inf
    assert torch.equal(both, (keep_best(scores, 5) > -torch.inf) & (keep_best(scores, top_p=0.8) > -torch.inf))
    assert 40 < int(both.sum()) < 200


def test_a_shortlist_names_its_columns_in_order() -> None:
    scores = torch.randn(4, 400, generator=torch.Generator().manual_seed(6))
    kept = shortlist(scores, top_k=5)
    assert bool((kept.columns.diff() > 0).all())
    assert kept.columns.shape[1] < 20
    best = scores.topk(5).indices.sort().values
    assert torch.equal(kept.columns[kept.scores > -torch.inf].view(4, 5), best)
    assert torch.equal(kept.scores[kept.scores > -torch.inf].view(4, 5), scores.gather(-1, best))


def test_what_equals_the_last_of_the_best_stays_in() -> None:
    scores = torch.zeros(1, 60)
    scores[0, 40] = 1.0
    assert int((keep_best(scores, top_k=1) > -torch.inf).sum()) == 1
    assert int((keep_best(scores, top_k=2) > -torch.inf).sum()) == 60
    nucleus = keep_best(scores, top_k=2, top_p=0.5) > -torch.inf  # of equal ones the first columns
    assert nucleus[0].nonzero()[:, 0].tolist() == [*range(int(nucleus.sum()) - 1), 40]


def test_a_forbidden_token_is_never_the_candidate() -> None:
    scores = torch.tensor([[1.0, 9.0, 2.0]])
    closed = forbid(scores, [1])
    assert int(sample(closed, Rule(), NONE_USED).tokens) == 2
    assert float(scores[0, 1]) == 9.0
    assert forbid(scores, [3]) is scores
    assert forbid(scores, [-1]) is scores


def test_a_repeated_token_is_penalised_once() -> None:
    scores = torch.tensor([[2.0, -2.0, 1.0]])
    assert penalise_repeats(scores, torch.tensor([0, 0, 1]), 2.0).tolist() == [[1.0, -4.0, 1.0]]
    assert scores.tolist() == [[2.0, -2.0, 1.0]]


def test_the_position_penalty_grows_from_the_hundredth_rank_on() -> None:
    flattened = penalise_late_ranks(torch.ones(200, 1), 2.0)[:, 0]
    assert torch.equal(flattened[:101], torch.ones(101))
    assert float(flattened[150]) == pytest.approx(1 / 1.5)
    assert bool((flattened[101:].diff() < 0).all())
    few = torch.ones(100, 1)
    assert penalise_late_ranks(few, 2.0) is few


def test_temperature_zero_takes_the_best_whatever_is_drawn() -> None:
    scores = torch.tensor([[0.0, 1.0], [3.0, 1.0]])
    assert sample(scores, Rule(), NONE_USED, torch.tensor([0.0, 0.999])).tokens.tolist() == [1, 0]


def test_draws_fall_on_tokens_in_proportion() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.2]).expand(20_000, 4)
    tokens = draw(probabilities, torch.rand(20_000, generator=torch.Generator().manual_seed(1)))
    shares = tokens.bincount(minlength=4) / 20_000
    assert shares.tolist() == pytest.approx([0.5, 0.0, 0.3, 0.2], abs=0.015)


def test_no_draw_reaches_a_token_without_probability() -> None:
    probabilities = torch.tensor([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    assert draw(probabilities, torch.tensor([0.0, 1 - 2**-24])).tolist() == [1, 1]


def test_a_higher_temperature_flattens() -> None:
    scores = torch.tensor([[2.0, 0.0]])
    cold, hot = (sample(scores, Rule(temperature=t), NONE_USED, torch.zeros(1)).probabilities[0, 0] for t in (0.5, 4.0))
    assert cold > hot > 0.5


def test_bfloat16_scores_are_sampled_in_float32() -> None:
    candidates = sample(torch.randn(2, 4).bfloat16(), Rule(temperature=1.0), NONE_USED, torch.rand(2))
    assert candidates.probabilities.dtype == torch.float32
    assert torch.allclose(candidates.probabilities.sum(-1), torch.ones(2), atol=1e-6)
