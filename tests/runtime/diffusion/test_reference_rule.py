import pytest

from runtime.diffusion.reference_rule import BEGIN_OF_SPEECH, ReferenceRule


def test_the_defaults_are_those_in_force_in_the_published_code() -> None:
    assert ReferenceRule.published() == ReferenceRule()
    rule = ReferenceRule()
    assert (rule.top_k, rule.top_p, rule.temperature, rule.confidence) == (50, 0.95, 0.2, "entropy")
    assert (rule.max_new_tokens, rule.num_steps, rule.last_time) == (512, 512, 1e-3)


@pytest.mark.parametrize(
    ("alg", "confidence"),
    [
        ("origin", None),
        ("maskgit_plus", "probability"),
        ("topk_margin", "margin"),
        ("entropy", "entropy"),
        ("entropy-penalty", "entropy"),
    ],
)
def test_algorithms_are_what_ranks_positions(alg: str, confidence: str | None) -> None:
    rule = ReferenceRule.published(alg=alg, repeat_penalty=1.5, alg_temp=0.5)
    assert rule.confidence == confidence
    assert rule.repeat_penalty == (1.5 if alg == "entropy-penalty" else 1.0)
    assert rule.confidence_temperature == (0.0 if alg == "origin" else 0.5)


def test_none_switches_the_filters_off() -> None:
    rule = ReferenceRule.published(top_k=None, top_p=None, alg_temp=None)
    assert (rule.top_k, rule.top_p, rule.confidence_temperature) == (0, 1.0, 0.0)


def test_the_other_names_say_the_same() -> None:
    rule = ReferenceRule.published(
        max_new_tokens=40, block_size=8, eps=0.01, cfg=2.0, max_position_penalty=2.0, add_boa_token=True
    )
    assert (rule.block_size, rule.last_time, rule.guidance_scale) == (8, 0.01, 2.0)
    assert (rule.position_penalty, rule.begin_of_speech) == (2.0, BEGIN_OF_SPEECH)
    assert ReferenceRule.published(add_boa_token=True, boa_token_id=7).begin_of_speech == 7


def test_steps_are_at_most_one_a_position_and_a_ratio_goes_before_them() -> None:
    assert ReferenceRule(max_new_tokens=20, steps=512).num_steps == 20
    assert ReferenceRule(max_new_tokens=40, steps=999, step_ratio=0.5).num_steps == 20
    assert ReferenceRule(max_new_tokens=10, step_ratio=2.0).num_steps == 20


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0; it has to be at least 1"),
        ({"steps": 0}, "steps is 0; it has to be enough for a step"),
        ({"max_new_tokens": 10, "step_ratio": 0.05}, "step_ratio is 0.05; it has to be enough for a step in 10"),
        ({"block_size": 0}, "block_size is 0"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"top_k": -1}, "top_k is -1"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"top_p": float("nan")}, "top_p is nan"),
        ({"repeat_penalty": 0.0}, "repeat_penalty is 0.0"),
        ({"position_penalty": -1.0}, "position_penalty is -1.0"),
        ({"guidance_scale": -2.0}, "guidance_scale is -2.0"),
        ({"last_time": 1.0}, "last_time is 1.0"),
        ({"confidence": "margin", "repeat_penalty": 1.2}, "ranked by entropy, not by margin"),
        ({"confidence": None, "repeat_penalty": 1.2}, "not by chance"),
        ({"confidence": None, "confidence_temperature": 0.5}, "have no confidence to be drawn by"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(numbers: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ReferenceRule(**numbers)  # type: ignore[arg-type]


def test_an_unknown_algorithm_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="unknown alg 'greedy'; allowed: origin, maskgit_plus"):
        ReferenceRule.published(alg="greedy")
