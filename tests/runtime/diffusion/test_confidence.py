import pytest
import torch

from runtime.diffusion.confidence import confidence

SURE, TORN, FLAT = [0.9, 0.05, 0.05], [0.5, 0.5, 0.0], [1 / 3, 1 / 3, 1 / 3]
ROWS = torch.tensor([SURE, TORN, FLAT])


def test_probability_is_that_of_the_candidate_not_of_the_best() -> None:
    assert confidence("probability", ROWS, torch.tensor([1, 0, 2])).tolist() == pytest.approx([0.05, 0.5, 1 / 3])


def test_margin_is_best_minus_second() -> None:
    best = ROWS.argmax(-1)
    assert confidence("margin", ROWS, best).tolist() == pytest.approx([0.85, 0.0, 0.0])


def test_margin_of_a_one_word_vocabulary_is_its_probability() -> None:
    assert confidence("margin", torch.ones(2, 1), torch.zeros(2, dtype=torch.long)).tolist() == [1, 1]


def test_entropy_ranks_the_flat_row_last() -> None:
    ranks = confidence("entropy", ROWS, ROWS.argmax(-1))
    assert ranks[0] > ranks[1] > ranks[2]
    assert float(ranks[2]) == pytest.approx(-torch.tensor(3.0).log().item(), abs=1e-5)
    assert float(confidence("entropy", torch.tensor([[1.0, 0.0]]), torch.tensor([0]))) == pytest.approx(0, abs=1e-6)
