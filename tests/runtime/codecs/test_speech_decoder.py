from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.codecs.speech_decoder import SpeechDecoderCodec
from runtime.models.speech_flow.flow import Prompt, SpeechFlow
from runtime.models.vocoder import Vocoder
from tests.support.tiny_voice import FLOW, MELS, VOCODER, tiny_voice

VOICE = tiny_voice()


@settings(max_examples=8, deadline=None)
@given(st.integers(1, 30))
def test_a_code_is_eighty_milliseconds(num_codes: int) -> None:
    samples = VOICE.decode(torch.arange(num_codes) % 32)
    assert len(samples) == int(num_codes / 12.5 * 22050 / 256) * 256
    assert samples.isfinite().all()
    assert float(samples.abs().max()) <= 0.99


def test_the_same_codes_sound_the_same_whatever_was_drawn_before() -> None:
    codes = torch.tensor([1, 2, 3, 4])
    first = VOICE.decode(codes)
    torch.rand(7)
    assert torch.equal(VOICE.decode(codes), first)
    assert not torch.allclose(VOICE.decode(codes.flip(0)), first)


def test_pcm_is_the_same_sound_in_sixteen_bits() -> None:
    codes = torch.tensor([5, 6, 7])
    pcm = VOICE.pcm(codes)
    assert pcm.dtype == np.int16
    assert np.abs(pcm / 32767 - VOICE.decode(codes).numpy()).max() < 1e-4
    assert VOICE.sample_rate_hz == 22_050


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        (torch.tensor([], dtype=torch.long), r"shape \(0,\) came; a row of at least one"),
        (torch.zeros(1, 3, dtype=torch.long), r"shape \(1, 3\)"),
        (torch.tensor([0, 32]), "from 0 to 32 came; this decoder knows 0 to 31"),
        (torch.tensor([-1]), "from -1 to -1"),
        (torch.tensor([0.0]), "came as torch.float32; int64 is needed"),
    ],
)
def test_codes_it_does_not_know_are_refused(codes: torch.Tensor, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        VOICE.decode(codes)


@pytest.mark.parametrize(
    ("codes", "frames", "mels", "speaker", "said"),
    [
        ([32], 6, MELS, 4, "from 32 to 32 came"),
        ([0, 1], 27, MELS, 4, r"shape \(1, 27, 8\) came; with these codes it may be \(1, 0 to 26, 8\)"),
        ([0, 1], 13, MELS + 1, 4, r"shape \(1, 13, 9\) came"),
        ([0, 1], 13, MELS, 5, r"a speaker of shape \(1, 5\) came; \(1, 4\) is needed"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused(
    codes: list[int], frames: int, mels: int, speaker: int, said: str
) -> None:
    prompt = Prompt(torch.tensor([codes]), torch.zeros(1, frames, mels), torch.zeros(1, speaker))
    with pytest.raises(ValueError, match=said):
        VOICE.decode(torch.tensor([1, 2]), prompt)


def test_half_precision_is_refused_before_anything_is_decoded() -> None:
    with pytest.raises(ValueError, match=r"came in torch.bfloat16; it computes in float32"):
        SpeechDecoderCodec(SpeechFlow(FLOW).bfloat16(), Vocoder(VOCODER))


def test_a_decoder_takes_a_step_at_least() -> None:
    with pytest.raises(ValueError, match="0 flow steps"):
        SpeechDecoderCodec(SpeechFlow(FLOW), Vocoder(VOCODER), flow_steps=0)


def test_more_steps_lead_elsewhere() -> None:
    torch.manual_seed(0)
    flow, vocoder = SpeechFlow(replace(FLOW, inference_cfg_rate=0.0)), Vocoder(VOCODER)
    codes = torch.arange(6)
    few, many = (SpeechDecoderCodec(flow, vocoder, steps).decode(codes) for steps in (1, 8))
    assert not torch.allclose(few, many, atol=1e-4)
