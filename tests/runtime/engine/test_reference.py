from dataclasses import replace

import pytest
import torch

from runtime.diffusion.canvas import SpeechRows
from runtime.diffusion.reference_rule import ReferenceRule
from runtime.engine.reference import ReferencePrompt, forward_items, generate, step_scores
from runtime.executors.in_process import InProcessExecutor
from runtime.models.backbone import Backbone, BackboneConfig

VOCAB, MASK, HIDDEN = 40, 39, 16
IDS, OTHER = torch.tensor([1, 2, 3, 4, 5]), torch.tensor([6, 7])
PROMPT = ReferencePrompt(IDS, unprompted=OTHER)
RULE = ReferenceRule(max_new_tokens=6, steps=3, temperature=0.0, guidance_scale=1.0)


def executor(dtype: torch.dtype = torch.float32) -> InProcessExecutor:
    torch.manual_seed(3)
    network = Backbone(BackboneConfig(VOCAB, HIDDEN, 32, 2, 2, 1)).to(dtype)
    return InProcessExecutor(network, "float32" if dtype == torch.float32 else "bfloat16")


def test_an_answer_is_made_step_by_step() -> None:
    history = generate(executor(), PROMPT, RULE, mask_id=MASK, vocab_size=VOCAB)
    assert [len(decoding.rows()) for decoding in history][0::3] == [6, 0]
    assert history[-1].done
    assert history[-1].token_ids[: len(IDS)].tolist() == [0] * len(IDS)


def test_what_is_embedded_is_the_prompt_and_what_is_penalised_is_not() -> None:
    (item,) = forward_items(
        ReferencePrompt(IDS), ReferencePrompt(IDS).begin(replace(RULE, guidance_scale=0.0), MASK), VOCAB
    )
    assert item.canvas.token_ids.tolist() == [1, 2, 3, 4, 5] + [MASK] * 6
    assert item.rows.tolist() == list(range(5, 11))
    assert item.vocabulary == (0, VOCAB)


def test_ids_stay_in_the_sequence() -> None:
    prompt, rule = ReferencePrompt(IDS, as_ids=True), replace(RULE, guidance_scale=0.0)
    history = generate(executor(), prompt, rule, mask_id=MASK, vocab_size=VOCAB)
    assert history[-1].token_ids[: len(IDS)].tolist() == IDS.tolist()


def test_the_answer_without_the_prompt_stands_further_left_before_zeros() -> None:
    with_prompt, without = forward_items(PROMPT, PROMPT.begin(RULE, MASK), VOCAB)
    assert without.rows is with_prompt.rows
    assert without.canvas.token_ids[:8].tolist() == [6, 7] + [MASK] * 6
    assert len(without.canvas) == len(with_prompt.canvas) == 11
    (zeros,) = without.canvas.speech
    assert zeros.start == 8
    embedded = torch.ones(1, 11, HIDDEN)
    embedded[0, zeros.start : zeros.start + len(zeros.embeddings)] = zeros.embeddings
    assert torch.equal(embedded[0, :, 0], torch.tensor([1.0] * 8 + [0.0] * 3))


def test_prompts_of_one_length_need_no_zeros() -> None:
    prompt = ReferencePrompt(IDS, unprompted=IDS + 10)
    assert forward_items(prompt, prompt.begin(RULE, MASK), VOCAB)[1].canvas.speech == ()


def test_the_scale_of_guidance_matters() -> None:
    results = {
        tuple(
            generate(executor(), PROMPT, replace(RULE, guidance_scale=scale), mask_id=MASK, vocab_size=VOCAB)[
                -1
            ].token_ids.tolist()
        )
        for scale in (0.0, 8.0)
    }
    assert len(results) == 2


def test_scores_are_guided_in_the_dtype_of_the_model() -> None:
    scores = [torch.tensor([[1.001]]), torch.tensor([[0.3]])]
    guided = step_scores(scores, RULE, torch.bfloat16)
    conditional, without = (tensor.bfloat16() for tensor in scores)
    assert guided.dtype == torch.bfloat16
    assert torch.equal(guided, without + 2.0 * (conditional - without))


def test_a_bfloat16_model_is_sampled_in_bfloat16() -> None:
    history = generate(executor(torch.bfloat16), PROMPT, RULE, mask_id=MASK, vocab_size=VOCAB, dtype=torch.bfloat16)
    assert history[-1].last is not None
    assert history[-1].last.confidence.dtype == torch.bfloat16


def test_what_the_published_code_cannot_do_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="but there is no prompt to compare with"):
        ReferencePrompt(IDS).begin(RULE, MASK)
    with pytest.raises(ValueError, match="has 5 tokens, more than the prompt's 2"):
        ReferencePrompt(OTHER, unprompted=IDS)
    for given in ({"unprompted": OTHER}, {"speech": (SpeechRows(0, torch.zeros(1, HIDDEN)),)}):
        with pytest.raises(ValueError, match="neither speech nor guidance"):
            ReferencePrompt(IDS, as_ids=True, **given)
