import pytest
import torch

from runtime.evaluation.parity.case import Case, Comparison, run


def outcome(check: object) -> str:
    return str(run(Case("part/case", check)))  # type: ignore[arg-type]


def test_exact_values_pass_and_others_are_shown() -> None:
    assert outcome(lambda c: c.exact("codes", [1, 2], torch.tensor([1, 2]))) == "pass  part/case: exact"
    said = outcome(lambda c: c.exact("codes", [1, 5, 7], [1, 2, 3]))
    assert said == "FAIL  part/case: codes: 2 of 3 differ, the first at 1: 5 instead of 2"
    assert "shape (1,) instead of (2,)" in outcome(lambda c: c.exact("codes", [1], [1, 2]))


def test_the_largest_difference_stands_against_its_tolerance() -> None:
    near = torch.tensor([1.0, 2.00005])
    want = torch.tensor([1.0, 2.0])
    assert outcome(lambda c: c.close("mel", near, want, 1e-4)).startswith(
        "pass  part/case: 1 within tolerance, at most 5"
    )
    assert outcome(lambda c: c.close("mel", near, want, 1e-5)).startswith("FAIL  part/case: 5")
    assert outcome(lambda c: c.close("mel", near, want, 0.0, rtol=1e-3)).startswith("pass")


@pytest.mark.parametrize(
    ("value", "wanted", "passes"),
    [
        (float("nan"), 1.0, False),
        (1.0, float("nan"), False),
        (float("inf"), float("inf"), True),
        (float("inf"), 1.0, False),
    ],
)
def test_numbers_that_are_none_never_pass_by_accident(value: float, wanted: float, passes: bool) -> None:
    comparison = Comparison()
    comparison.close("x", torch.tensor([value]), torch.tensor([wanted]), 1e-3)
    assert comparison.passed is passes


def test_the_comparison_nearest_to_its_tolerance_is_told() -> None:
    comparison = Comparison()
    comparison.close("far", torch.tensor(1.0), torch.tensor(1.0), 1.0)
    comparison.close("near", torch.tensor(1.0), torch.tensor(1.9), 1.0)
    comparison.same("name", "a", "a")
    assert str(comparison) == "1 exact, 2 within tolerance, at most 9.0e-01 of 1e+00 allowed (near)"


def test_one_failure_fails_the_case() -> None:
    def check(comparison: Comparison) -> None:
        comparison.same("first", 1, 1)
        comparison.same("second", 1, 2)

    assert outcome(check) == "FAIL  part/case: second: 1 instead of 2"


def test_a_case_that_breaks_or_compares_nothing_fails() -> None:
    def breaks(comparison: Comparison) -> None:
        comparison.same("first", 1, 1)
        raise KeyError("tokens_0")

    assert outcome(breaks) == "FAIL  part/case: KeyError: 'tokens_0'"
    assert outcome(lambda c: None) == "FAIL  part/case: nothing was compared"
