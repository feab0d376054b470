from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import Categorical

from runtime.diffusion.confidence import ConfidenceRule
from runtime.diffusion.reference_sampler import choose, draw_places

NONE_USED = torch.empty(0, dtype=torch.long)


@dataclass(frozen=True)
class Rule:
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repeat_penalty: float = 1.0
    position_penalty: float = 1.0


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=40)
@given(
    st.integers(1, 30),
    st.sampled_from([0.3, 0.9, 1.0]),
    st.sampled_from([0, 1, 5, 40]),
    st.sampled_from([torch.float32, torch.bfloat16]),
    st.integers(0, 99),
)
def test_filters_are_those_of_the_whole_sorted_row(
    vocab: int, top_p: float, top_k: int, dtype: torch.dtype, seed: int
) -> None:
    """Coarse scores, many of them equal, against the filters written out over the whole vocabulary."""
    scores = (torch.randn(6, vocab, generator=seeded(seed)) * 3).round().to(dtype)
    expected = scores
    if top_p < 1:
        ordered, order = scores.sort(dim=-1, descending=True, stable=True)
        late = ordered.softmax(-1).cumsum(-1) > top_p
        late = torch.cat([torch.zeros(6, 1, dtype=torch.bool), late[:, :-1]], 1)
        expected = expected.masked_fill(torch.zeros_like(late).scatter(-1, order, late), -torch.inf)
    if top_k:
        expected = expected.masked_fill(expected < expected.topk(min(top_k, vocab)).values[:, -1:], -torch.inf)
    probabilities = expected.softmax(-1)
    choice = choose(scores, Rule(top_k=top_k, top_p=top_p), "probability", NONE_USED)
    assert torch.equal(choice.tokens, probabilities.argmax(-1))
    torch.testing.assert_close(choice.confidence, probabilities.amax(-1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_everything_stays_in_the_dtype_of_the_scores(dtype: torch.dtype) -> None:
    scores = torch.randn(130, 60, generator=seeded(0)).to(dtype)
    rule = Rule(0.7, 20, 0.9, 1.2, 2.0)
    assert choose(scores, rule, "entropy", torch.arange(30), seeded(0)).confidence.dtype == dtype


def test_of_equal_tokens_the_first_is_taken() -> None:
    scores = torch.zeros(3, 200)
    scores[:, 150:] = 1.0
    assert choose(scores, Rule(top_k=50), "probability", NONE_USED).tokens.tolist() == [150] * 3


@pytest.mark.parametrize("ranking", ["probability", "margin", "entropy"])
def test_sampled_tokens_are_those_of_the_published_draw(ranking: ConfidenceRule) -> None:
    scores = torch.randn(40, 300, generator=seeded(1))
    torch.manual_seed(5)
    expected = Categorical(probs=(scores / 0.7).softmax(-1)).sample()  # type: ignore[no-untyped-call]
    drawn = choose(scores, Rule(temperature=0.7), ranking, NONE_USED, seeded(5))
    assert torch.equal(drawn.tokens, expected)
    assert not torch.equal(drawn.tokens, scores.argmax(-1))
    torch.manual_seed(5)
    assert torch.equal(choose(scores, Rule(temperature=0.7), ranking, NONE_USED).tokens, expected)


def test_a_filtered_draw_uses_the_numbers_of_the_whole_vocabulary() -> None:
    scores = torch.randn(40, 300, generator=seeded(2))
    kept = scores.masked_fill(scores < scores.topk(8).values[:, -1:], -torch.inf)
    torch.manual_seed(6)
    expected = Categorical(probs=kept.softmax(-1)).sample()  # type: ignore[no-untyped-call]
    drawn = choose(scores, Rule(temperature=1.0, top_k=8), "probability", NONE_USED, seeded(6))
    assert torch.equal(drawn.tokens, expected)


@settings(max_examples=40)
@given(st.integers(0, 200))
def test_rounded_probabilities_that_do_not_add_up_are_not_drawn_from(seed: int) -> None:
    """torch.distributions refuses them, and then the published code takes the best of every row."""
    probabilities = (torch.randn(100, 12, generator=seeded(seed)) * 2).bfloat16().softmax(-1)
    best, columns = probabilities.argmax(-1), torch.arange(12).expand(100, 12)
    places = draw_places(probabilities, columns, 12, best, seeded(7))
    torch.manual_seed(7)
    try:
        expected = Categorical(probs=probabilities).sample()  # type: ignore[no-untyped-call]
    except ValueError:
        expected = best
    assert torch.equal(places, expected)


def test_used_tokens_are_made_smaller_after_the_filters() -> None:
    scores = torch.tensor([[4.0, 3.9, -1.0, -2.0]])
    rule = Rule(top_k=2, repeat_penalty=2.0)
    assert choose(scores, rule, "probability", torch.tensor([0, 0])).tokens.tolist() == [1]
    assert choose(scores, rule, "probability", torch.tensor([0, 1])).tokens.tolist() == [0]


def test_no_rows_are_no_tokens() -> None:
    for rule in (Rule(top_k=5, top_p=0.9), Rule(temperature=1.0)):
        assert choose(torch.empty(0, 30), rule, "probability", NONE_USED, seeded(0)).tokens.shape == (0,)
