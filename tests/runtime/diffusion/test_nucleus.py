import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from runtime.diffusion import nucleus_kernel
from runtime.diffusion.nucleus import nucleus, nucleus_in_torch, order_keys


def sorted_nucleus(scores: Tensor, mass: float) -> Tensor:
    """The definition: sort, add up, keep what the sum before it leaves room for."""
    probabilities = scores.softmax(-1)
    ordered, order = scores.sort(dim=-1, descending=True, stable=True)
    del ordered
    found = probabilities.gather(-1, order).double()
    before = found.cumsum(-1) - found
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, order, before <= mass)


def random_scores(seed: int, rows: int, vocab: int, spread: float, levels: int) -> Tensor:
    """levels: how many different scores there are about, so that many are equal; 0 for all different."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(rows, vocab, generator=generator) * spread
    return (scores * levels).round() / levels if levels else scores


SCORES = st.builds(
    random_scores,
    st.integers(0, 2**20),
    st.integers(1, 4),
    st.integers(1, 300),
    st.sampled_from([0.0, 0.01, 1.0, 5.0, 60.0]),
    st.sampled_from([0, 1, 3]),
)
MASSES = st.floats(0.0, 0.999)


def same(found: Tensor, expected: Tensor, scores: Tensor, mass: float) -> bool:
    """Equal but where the sum lies on the mass to the last digits, on which the order of adding decides."""
    differ = (found != expected).nonzero()
    probabilities = scores.softmax(-1).double()
    for row, column in differ.tolist():
        above = probabilities[row][scores[row] > scores[row, column]].sum()
        ties = torch.arange(1 + int((scores[row] == scores[row, column]).sum())) * probabilities[row, column]
        if float((above + ties - mass).abs().min()) > 1e-6:
            return False
    return True


@given(SCORES, MASSES)
def test_torch_finds_the_nucleus(scores: Tensor, mass: float) -> None:
    found = nucleus_in_torch(scores, scores.softmax(-1), mass)
    assert same(found, sorted_nucleus(scores, mass), scores, mass)
    assert found.any(-1).all()


@pytest.mark.skipif(nucleus_kernel.compiled() is None, reason="no C compiler here")
@given(SCORES, MASSES)
def test_the_kernel_finds_what_torch_finds(scores: Tensor, mass: float) -> None:
    found = nucleus_kernel.nucleus(scores, scores.softmax(-1), mass)
    assert found is not None
    assert same(found, nucleus_in_torch(scores, scores.softmax(-1), mass), scores, mass)


def test_the_first_of_equals_are_kept() -> None:
    scores = torch.tensor([[1.0, 2.0, 1.0, 1.0], [0.0, -0.0, 0.0, -0.0]])
    first, second = nucleus(scores, 0.6).tolist()
    assert first == [True, True, False, False]  # 0.475, then 0.175 each
    assert second == [True, True, True, False]  # the two zeros are equal


@pytest.mark.parametrize("closed", [-torch.inf, torch.finfo(torch.float32).min])
def test_closed_columns_are_never_kept(closed: float) -> None:
    scores = torch.full((1, 9), closed)
    scores[0, 4] = 1.0
    assert nucleus(scores, 0.99)[0].nonzero()[:, 0].tolist() == [4]


def test_no_rows_have_no_nucleus() -> None:
    assert nucleus(torch.empty(0, 7), 0.9).shape == (0, 7)


def test_keys_are_in_the_order_of_the_scores() -> None:
    scores = torch.tensor([-torch.inf, -3.0, -1e-30, -0.0, 0.0, 1e-30, 2.0, torch.inf])
    keys = order_keys(scores)
    assert keys[3] == keys[4]
    assert (keys.diff() >= 0).all()


def test_without_a_compiler_torch_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nucleus_kernel, "compiled", lambda: None)
    scores = random_scores(1, 3, 50, 1.0, 0)
    assert torch.equal(nucleus(scores, 0.5), sorted_nucleus(scores, 0.5))
