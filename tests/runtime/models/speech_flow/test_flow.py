import pytest
import torch

from runtime.models.speech_flow.flow import Prompt, SpeechFlow, step_times
from tests.support.tiny_voice import FLOW, MELS


@pytest.fixture(scope="module")
def flow() -> SpeechFlow:
    torch.manual_seed(0)
    return SpeechFlow(FLOW).eval()


def noise(frames: int) -> torch.Tensor:
    return torch.randn(1, MELS, frames, generator=torch.Generator().manual_seed(0))


def test_steps_begin_small_and_end_at_one() -> None:
    times = step_times(10)
    assert float(times[0]) == 0
    assert float(times[-1]) == pytest.approx(1)
    assert bool((times.diff().diff() > 0).all())


@torch.inference_mode()
def test_a_prompt_is_heard_and_not_given_back(flow: SpeechFlow) -> None:
    codes = torch.arange(6)[None]
    alone = flow(codes, noise(flow.num_frames(6)), steps=2)
    known = flow.num_frames(5)
    prompt = Prompt(torch.arange(5)[None], torch.randn(1, known, MELS), torch.randn(1, 4))
    spoken = flow(codes, noise(flow.num_frames(11)), 2, prompt)
    assert alone.shape[-1] == flow.num_frames(6)
    assert spoken.shape[-1] == flow.num_frames(11) - known
    other = flow(codes, noise(flow.num_frames(11)), 2, Prompt(prompt.codes, prompt.mel + 1, prompt.speaker))
    assert not torch.allclose(spoken, other)


@torch.inference_mode()
def test_guidance_pushes_away_from_what_is_said_without_codes(flow: SpeechFlow) -> None:
    given = flow.conditions(flow.encode(torch.arange(4)[None]), flow.no_prompt())
    x, start = noise(flow.num_frames(4)), torch.zeros(())
    pushed = 1.7 * flow.velocity(x, start, given) - 0.7 * flow.velocity(x, start, given.none)
    torch.testing.assert_close(flow(torch.arange(4)[None], x, steps=1), x + pushed)
