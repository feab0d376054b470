from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from runtime.diffusion.mask_schedule import num_to_unmask
from runtime.diffusion.reference import Block, ReferenceDecoding, embedded_prefix
from runtime.diffusion.reference_rule import ReferenceRule

VOCAB, MASK, SPEECH = 24, 23, 20
PROMPT = 3
GREEDY = ReferenceRule(max_new_tokens=8, steps=8, temperature=0.0, top_p=1.0)

RULES = st.builds(
    ReferenceRule,
    max_new_tokens=st.integers(1, 30),
    steps=st.integers(1, 40),
    step_ratio=st.sampled_from([None, 1.0, 1.7]),
    confidence=st.sampled_from(["probability", "margin", "entropy", None]),
    temperature=st.sampled_from([0.0, 0.8]),
    top_k=st.sampled_from([0, 3, 50]),
    top_p=st.sampled_from([0.5, 1.0]),
    position_penalty=st.sampled_from([1.0, 2.0]),
    block_size=st.sampled_from([None, 1, 4, 7]),
    begin_of_speech=st.sampled_from([None, SPEECH]),
)


def begin(rule: ReferenceRule) -> ReferenceDecoding:
    return ReferenceDecoding.begin(embedded_prefix(PROMPT), rule, MASK)


def run(rule: ReferenceRule, seed: int = 0, *, mask_score: float = -torch.inf) -> list[ReferenceDecoding]:
    return list(steps_of(begin(rule), seed, mask_score))


def steps_of(decoding: ReferenceDecoding, seed: int, mask_score: float) -> Iterator[ReferenceDecoding]:
    """With new random scores in every step."""
    random = torch.Generator().manual_seed(seed)
    yield decoding
    while not decoding.done:
        scores = torch.randn(len(decoding.rows()), VOCAB, generator=random)
        scores[:, MASK] = mask_score
        decoding = decoding.advance(scores, random)
        yield decoding


def sure_of(tokens: list[int], certainties: list[float]) -> Tensor:
    scores = torch.zeros(len(tokens), VOCAB)
    scores[torch.arange(len(tokens)), torch.tensor(tokens)] = torch.tensor(certainties, dtype=torch.float32)
    return scores


@settings(max_examples=40)
@given(RULES, st.integers(0, 9))
def test_a_decoding_ends_and_no_position_changes_twice(rule: ReferenceRule, seed: int) -> None:
    history = run(rule, seed)
    assert len(history) - 1 == history[-1].num_steps <= sum(block.steps for block in history[0].blocks)
    assert torch.equal(history[-1].token_ids[:PROMPT], embedded_prefix(PROMPT))
    changes = torch.zeros_like(history[0].token_ids)
    for before, after in pairwise(history):
        assert after.last is not None
        assert torch.equal((before.token_ids != after.token_ids).nonzero()[:, 0], after.last.filled)
        changes[after.last.filled] += 1
    assert torch.equal(changes, (history[0].masked & ~history[-1].masked).long())


@settings(max_examples=40)
@given(RULES.filter(lambda rule: rule.confidence is not None and rule.block_size is None), st.integers(0, 9))
def test_as_many_are_filled_as_the_schedule_says(rule: ReferenceRule, seed: int) -> None:
    history = run(rule, seed)
    for step, (before, after) in enumerate(pairwise(history)):
        expected = num_to_unmask("linear", len(before.rows()), step, rule.num_steps)
        assert len(before.rows()) - len(after.rows()) == expected
    assert not len(history[-1].rows())


@settings(max_examples=40)
@given(RULES.filter(lambda rule: rule.block_size is not None and rule.confidence is not None), st.integers(0, 9))
def test_a_block_is_only_left_when_its_steps_are_run(rule: ReferenceRule, seed: int) -> None:
    for before, after in pairwise(run(rule, seed)):
        block = before.blocks[before.block]
        inside = [p for p in before.rows().tolist() if block.start <= p < block.stop]
        assert after.last is not None
        if inside:
            assert set(after.last.filled.tolist()) <= set(inside)
        if before.step == block.steps - 1:
            assert not bool(after.masked[block.start : block.stop].any())


@settings(max_examples=40)
@given(RULES, st.integers(0, 9))
def test_a_seeded_generator_gives_the_numbers_of_the_global_one(rule: ReferenceRule, seed: int) -> None:
    scores = torch.randn(rule.max_new_tokens, VOCAB, generator=torch.Generator().manual_seed(seed))
    start = begin(rule)
    if start.done:
        return
    scores = scores[: len(start.rows())]
    torch.manual_seed(seed)
    globally = start.advance(scores)
    seeded = start.advance(scores, torch.Generator().manual_seed(seed))
    assert torch.equal(globally.token_ids, seeded.token_ids)


def test_a_step_leaves_the_old_decoding_alone() -> None:
    start = begin(GREEDY)
    after = start.advance(sure_of([5] * 8, [1, 2, 9, 1, 1, 1, 1, 1]))
    assert start.token_ids.tolist() == [0] * PROMPT + [MASK] * 8
    assert after.token_ids.tolist() == [0] * PROMPT + [MASK, MASK, 5] + [MASK] * 5
    assert after.last is not None
    assert after.last.filled.tolist() == [PROMPT + 2]
    assert after.last.tokens.tolist() == [5] * 8


def test_a_position_that_gets_the_mask_token_stays_masked() -> None:
    history = run(GREEDY, mask_score=100.0)
    assert history[-1].num_steps == 8
    assert history[-1].rows().tolist() == list(range(PROMPT, PROMPT + 8))


def test_rows_of_all_blocks_are_wanted() -> None:
    assert begin(replace(GREEDY, block_size=2)).rows().tolist() == list(range(PROMPT, PROMPT + 8))


def test_speech_begins_after_a_fifth_of_the_answer() -> None:
    decoding = begin(replace(GREEDY, begin_of_speech=SPEECH))
    assert decoding.token_ids.tolist() == [0] * PROMPT + [MASK, SPEECH] + [MASK] * 6


def test_a_full_block_with_a_step_left_fills_a_position_of_another() -> None:
    history = run(replace(GREEDY, block_size=4, begin_of_speech=SPEECH))  # the first block has 3 masked and 4 steps
    assert history[0].blocks == (Block(PROMPT, PROMPT + 4, 4), Block(PROMPT + 4, PROMPT + 8, 4))
    assert [int(later.masked[-4:].sum()) for later in history[3:5]] == [4, 3]
    assert history[-1].num_steps == 7


def test_that_position_needs_no_confidence_to_be_drawn_by() -> None:
    rule = replace(GREEDY, block_size=4, begin_of_speech=SPEECH, confidence_temperature=0.5)
    assert not bool(run(rule)[-1].masked.any())


def test_a_block_without_steps_is_never_filled() -> None:
    assert begin(replace(GREEDY, steps=1, block_size=4)).done
    history = run(replace(GREEDY, max_new_tokens=10, steps=5, block_size=9))  # int(9 / 10 * 5) = 4, int(1 / 10 * 5) = 0
    assert [block.steps for block in history[0].blocks] == [4, 0]
    assert history[-1].rows().tolist() == [PROMPT + 9]


def test_a_preset_token_can_cost_the_last_block() -> None:
    history = run(replace(GREEDY, max_new_tokens=9, steps=9, block_size=4, begin_of_speech=SPEECH))
    assert len(history[0].blocks) == 2
    assert PROMPT + 8 in history[0].rows().tolist()
    assert all(block.stop <= PROMPT + 8 for block in history[0].blocks)


def test_positions_filled_by_chance_know_no_blocks() -> None:
    history = run(replace(GREEDY, confidence=None, steps=4, block_size=4))
    assert history[-1].num_steps == 2
    assert not bool(history[-1].masked.any())
    assert history[1].last is not None and history[1].last.draws is not None
    assert len(history[1].last.draws) == 8


def test_repeats_are_penalised_from_the_second_step_on_and_the_prompt_where_it_is_ids() -> None:
    rule = replace(GREEDY, repeat_penalty=3.0)
    scores = sure_of([5] * 8, [9.0, 8, 8, 8, 8, 8, 8, 8])
    scores[:, 6] = 7.5
    for prefix, second in ((embedded_prefix(PROMPT), 6), (torch.tensor([6, 6, 6]), 5)):
        first = ReferenceDecoding.begin(prefix, rule, MASK).advance(scores)
        assert first.token_ids[PROMPT] == 5
        then = first.advance(scores[1:])
        assert then.last is not None
        assert set(then.last.tokens.tolist()) == {second}


def test_the_last_step_ends_at_the_last_time() -> None:
    scores = sure_of([5] * 8, [float(i) for i in range(8)])
    slow, fast = (begin(replace(GREEDY, steps=2, last_time=time)).advance(scores) for time in (0.5, 1e-3))
    assert (len(slow.rows()), len(fast.rows())) == (6, 5)


def test_bfloat16_scores_are_ranked_as_they_are() -> None:
    scores = sure_of([5] * 8, [1, 2, 3, 4, 5, 6, 7, 8]).bfloat16()
    after = begin(GREEDY).advance(scores)
    assert after.last is not None
    assert after.last.confidence.dtype == torch.bfloat16
    assert after.last.filled.tolist() == [PROMPT + 7]


def test_what_cannot_be_stepped_is_refused_in_words() -> None:
    done = run(GREEDY)[-1]
    with pytest.raises(ValueError, match="the answer is finished"):
        done.advance(torch.empty(0, VOCAB))
    with pytest.raises(ValueError, match="3 rows of scores came for 8 masked positions"):
        begin(GREEDY).advance(torch.zeros(3, VOCAB))


@pytest.mark.parametrize("prefix", [torch.empty(0, dtype=torch.long), torch.tensor([MASK, 1])])
def test_the_first_position_can_not_be_open(prefix: Tensor) -> None:
    with pytest.raises(ValueError, match="the prompt is empty or begins with the mask token"):
        ReferenceDecoding.begin(prefix, GREEDY, MASK)
