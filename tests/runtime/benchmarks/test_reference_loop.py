from dataclasses import replace

import pytest
import torch

from runtime.benchmarks.reference_loop import ReferenceLoop, in_nucleus, penalise_positions
from runtime.diffusion.canvas import SpeechRows
from runtime.diffusion.reference_rule import ReferenceRule
from runtime.diffusion.reference_sampler import choose
from runtime.diffusion.sampler import keep_best, penalise_late_ranks
from runtime.engine.reference import ReferencePrompt, generate
from runtime.executors.in_process import InProcessExecutor
from runtime.models.backbone import Backbone, BackboneConfig

VOCAB, MASK, HIDDEN = 300, 299, 32
IDS = torch.arange(10, 22)
SPEECH = (SpeechRows(2, torch.randn(4, HIDDEN, generator=torch.Generator().manual_seed(1))),)
PLAIN = ReferencePrompt(IDS)
GUIDED = ReferencePrompt(IDS, SPEECH, unprompted=torch.arange(30, 37))
RULE = ReferenceRule(24, 12, temperature=0.0, top_p=0.9)
RULES = {
    "entropy": (PLAIN, RULE),
    "penalties": (PLAIN, replace(RULE, max_new_tokens=115, repeat_penalty=1.3, position_penalty=2.0)),
    "ids": (ReferencePrompt(IDS, as_ids=True), replace(RULE, repeat_penalty=1.3)),
    "guided with speech": (GUIDED, replace(RULE, guidance_scale=2.0, repeat_penalty=1.5)),
    "margin": (PLAIN, replace(RULE, confidence="margin", top_k=0)),
    "blocks": (PLAIN, replace(RULE, block_size=5, steps=24, begin_of_speech=7)),
    "sampled": (PLAIN, replace(RULE, confidence="probability", temperature=0.8, confidence_temperature=0.5)),
    "chance": (PLAIN, replace(RULE, confidence=None, temperature=0.8, position_penalty=2.0)),
}


def backbone() -> Backbone:
    """One whose scores are far enough apart that rounding decides nothing."""
    torch.manual_seed(5)
    network = Backbone(BackboneConfig(VOCAB, HIDDEN, 48, 2, 2, 1)).eval()
    network.lm_head.weight.data *= 6
    return network


@pytest.mark.parametrize("name", RULES)
def test_the_baseline_makes_the_same_answer_step_by_step(name: str) -> None:
    prompt, rule = RULES[name]
    network = backbone()
    loop = ReferenceLoop(network, prompt, rule, MASK, torch.Generator().manual_seed(9))
    final = loop.run()
    history = generate(
        InProcessExecutor(network, "float32"), prompt, rule, mask_id=MASK, vocab_size=VOCAB,
        generator=torch.Generator().manual_seed(9),
    )  # fmt: skip
    assert [sequence.tolist() for sequence in loop.history] == [step.token_ids.tolist() for step in history[1:]]
    assert torch.equal(final, history[-1].token_ids)
    assert len(loop.history) > 5
    assert len(loop.best) == len(loop.history)


def test_the_baseline_filters_and_penalises_as_we_do() -> None:
    scores = torch.randn(120, 60, generator=torch.Generator().manual_seed(2)) * 2
    assert torch.equal(in_nucleus(scores, 0.8) > torch.finfo(torch.float32).min, keep_best(scores, 0, 0.8) > -torch.inf)
    penalised = scores.clone()
    penalise_positions(penalised, 2.0)
    assert torch.equal(penalised, penalise_late_ranks(scores, 2.0))


@pytest.mark.parametrize("spread", [0.6, 4.0])
def test_in_bfloat16_the_samplers_agree_to_the_last_bit(spread: float) -> None:
    """Among thousands of scores many are equal there, at the edges of the filters too."""
    random = torch.Generator().manual_seed(4)
    scores = (torch.randn(110, 20_000, generator=random) * spread).bfloat16()
    rule = replace(RULE, repeat_penalty=1.2, position_penalty=2.0)
    loop = ReferenceLoop(backbone(), PLAIN, rule, MASK)
    loop.history = [torch.cat([torch.arange(300, 900), scores[:50].float().argmax(-1)])]
    tokens, confidence = loop._sample(scores.clone(), "entropy")
    ours = choose(scores, rule, "entropy", loop.history[-1])
    assert torch.equal(ours.tokens, tokens)
    assert torch.equal(ours.confidence, confidence)
