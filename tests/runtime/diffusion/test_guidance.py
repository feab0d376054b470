import torch

from runtime.diffusion.guidance import guided

WITH, WITHOUT = torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0, 3.0]])


def test_scale_zero_leaves_the_scores_alone() -> None:
    assert torch.equal(guided(WITH, WITHOUT, 0.0), WITH)


def test_scores_are_pushed_away_from_those_without_the_prompt() -> None:
    assert torch.equal(guided(WITH, WITHOUT, 2.0), torch.tensor([[4.0, -3.0]]))  # 1 + 3 * 1, 3 + 3 * -2


def test_what_the_prompt_does_not_change_stays() -> None:
    assert torch.equal(guided(WITH, WITH, 5.0), WITH)
