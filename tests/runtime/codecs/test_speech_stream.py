from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from runtime.codecs.speech_decoder import SpeechDecoderCodec
from runtime.codecs.speech_stream import SpeechStream, faded
from runtime.models.speech_flow.flow import Prompt, SpeechFlow
from runtime.models.vocoder import SourceNoise, Vocoder
from tests.support.tiny_voice import FLOW, MELS, VOCODER

CODES = torch.arange(60) % 32


@pytest.fixture(scope="module")
def flow() -> SpeechFlow:
    torch.manual_seed(0)
    return SpeechFlow(FLOW).eval()


@pytest.fixture(scope="module")
def vocoder() -> Vocoder:
    torch.manual_seed(1)
    return Vocoder(VOCODER).eval()


def pieces(stream: SpeechStream, *counts: int) -> list[Tensor]:
    """Pushes of so many codes in all, the last one final."""
    return [stream.push(CODES[:count], final=i == len(counts) - 1) for i, count in enumerate(counts)]


@settings(max_examples=6, deadline=None)
@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=4).map(sorted))
def test_the_pieces_are_as_long_as_the_whole(flow: SpeechFlow, vocoder: Vocoder, counts: list[int]) -> None:
    sound = torch.cat(pieces(SpeechStream(flow, vocoder, 1), *counts))
    assert len(sound) == flow.num_frames(counts[-1]) * 256
    assert sound.isfinite().all()
    assert float(sound.abs().max()) <= VOCODER.audio_limit


def test_one_final_push_is_the_whole(flow: SpeechFlow, vocoder: Vocoder) -> None:
    codes = CODES[:15]
    prompt = Prompt(CODES[None, :5], torch.randn(1, flow.num_frames(5), MELS), torch.randn(1, 4))
    whole = SpeechDecoderCodec(flow, vocoder, 2)
    for voice in (None, prompt):
        streamed = SpeechStream(flow, vocoder, 2, voice).push(codes, final=True)
        torch.testing.assert_close(streamed, whole.decode(codes, voice), atol=1e-6, rtol=0)


def test_sound_comes_before_the_answer_ends(flow: SpeechFlow, vocoder: Vocoder) -> None:
    stream = SpeechStream(flow, vocoder, 1)
    assert stream.hop_codes == 12
    assert len(stream.push(CODES[:11])) == 0
    held = flow.num_frames(5)
    assert len(stream.push(CODES[:12])) == (flow.num_frames(12) - held) * 256
    assert len(stream.push(CODES[:23])) == 0
    assert len(stream.push(CODES[:12], final=True)) == held * 256


def test_published_blocks_are_decoded_as_they_come() -> None:
    published = replace(FLOW, encoder=replace(FLOW.encoder, block_size=10))
    assert SpeechStream(SpeechFlow(published), Vocoder(VOCODER)).hop_codes == 10


@torch.inference_mode()
def test_windows_leave_no_trace_in_the_sound(flow: SpeechFlow) -> None:
    """With frames that are the same in every window, the pieces are the whole: phase, context and fades fit."""
    still = SpeechFlow(FLOW).eval()
    still.load_state_dict(flow.state_dict())
    for parameter in still.decoder.estimator.final_proj.parameters():
        parameter.zero_()
    torch.manual_seed(2)
    humming = Vocoder(replace(VOCODER, nb_harmonics=0, nsf_sigma=0.0)).eval()
    humming.f0_predictor.classifier.bias.fill_(217.0)
    stream = SpeechStream(still, humming, 1)
    sound = torch.cat(pieces(stream, 12, 24, 48, 55))
    mel = stream.mel
    silent = SourceNoise(torch.zeros(1, 1, 1), torch.zeros(1, 1, mel.shape[-1] * 256))
    pitch = humming.f0_predictor(mel)
    assert float(pitch.std()) > 0
    torch.testing.assert_close(sound, humming(mel, humming.source(pitch, silent))[0], atol=2e-4, rtol=0)


@torch.inference_mode()
def test_the_frames_are_near_those_of_the_whole(flow: SpeechFlow, vocoder: Vocoder) -> None:
    """Of the same noise. They are not the same: a window does not see what comes later."""
    stream = SpeechStream(flow, vocoder, 10)
    pieces(stream, 12, 24, 48)
    whole = flow(CODES[None, :48], stream.noise, 10)
    assert not torch.allclose(stream.mel, whole, atol=1e-3)
    assert float((stream.mel - whole).std() / whole.std()) < 0.3


@torch.inference_mode()
def test_a_piece_begins_as_the_one_before_would_have_gone_on(flow: SpeechFlow, vocoder: Vocoder) -> None:
    ended, going_on = (SpeechStream(flow, vocoder, 2) for _ in range(2))
    heard, ending = pieces(ended, 12, 12)
    _, further = pieces(going_on, 12, 48)
    frame = len(heard) // 256
    assert float((further[0] - ending[0]).abs()) < 1e-4
    assert float((further[:512] - ending[:512]).abs().max()) > 1e-2
    torch.testing.assert_close(going_on.mel[:, :, frame], ended.mel[:, :, frame], atol=5e-3, rtol=0)
    assert not torch.allclose(going_on.mel[:, :, frame + 30], ended.mel[:, :, frame + 30], atol=5e-3)


def test_the_stream_says_the_same_again_whatever_was_drawn_before(flow: SpeechFlow, vocoder: Vocoder) -> None:
    first = pieces(SpeechStream(flow, vocoder, 1), 12, 30)
    torch.rand(7)
    for before, after in zip(first, pieces(SpeechStream(flow, vocoder, 1), 12, 30), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("codes", "final", "said"),
    [
        (torch.zeros(0, dtype=torch.long), True, r"shape \(0,\) came; a row of at least one"),
        (torch.zeros(1, 3, dtype=torch.long), False, r"shape \(1, 3\)"),
        (torch.tensor([3, 32]), False, "from 3 to 32 came; this decoder knows 0 to 31"),
        (CODES[:5], False, "the first 12 codes are heard already"),
        (CODES[:20].flip(0), False, "the first 12 codes are heard already"),
    ],
)
def test_codes_that_do_not_go_on_are_refused(
    flow: SpeechFlow, vocoder: Vocoder, codes: Tensor, final: bool, said: str
) -> None:
    stream = SpeechStream(flow, vocoder, 1)
    stream.push(CODES[:12])
    with pytest.raises(ValueError, match=said):
        stream.push(codes, final)


def test_nothing_follows_the_end(flow: SpeechFlow, vocoder: Vocoder) -> None:
    stream = SpeechStream(flow, vocoder, 1)
    stream.push(CODES[:3], final=True)
    with pytest.raises(ValueError, match="after the final ones; begin a new stream"):
        stream.push(CODES[:4])


def test_a_stream_takes_a_step_at_least(flow: SpeechFlow, vocoder: Vocoder) -> None:
    with pytest.raises(ValueError, match="0 flow steps"):
        SpeechStream(flow, vocoder, 0)


def test_a_fade_between_equals_changes_nothing() -> None:
    row = torch.randn(2, 9)
    torch.testing.assert_close(faded(row[:, :5], row), row)
    passing = faded(torch.zeros(6), torch.ones(8))
    assert bool((passing[:6].diff() > 0).all())
    assert passing[6:].tolist() == [1.0, 1.0]
    assert float(passing[:6].mean()) == pytest.approx(0.5)
