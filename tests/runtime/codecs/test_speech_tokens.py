import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.codecs import speech_tokens
from runtime.codecs.speech_tokens import SpeechTokenCodec, log_mel, mel_filters
from runtime.models.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig

RATE = 16_000


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3000, num_samples).astype(np.int16)


@torch.inference_mode()
def hearing_tokenizer() -> SpeechTokenizer:
    """Its codes are what noise leads to: those of a random network tell places apart, but not sounds."""
    torch.manual_seed(0)
    config = SpeechTokenizerConfig(
        d_model=16, encoder_attention_heads=2, encoder_ffn_dim=24, quantize_position=1, quantize_vocab_size=64
    )
    network = SpeechTokenizer(config).eval()
    network.embed_positions.weight.zero_()
    network.conv1.weight.mul_(3)
    mel = log_mel(torch.from_numpy(noise(64 * 1280, seed=99) / 32768).float()[None])
    network.codebook.weight.copy_(network(mel, torch.ones(1, mel.shape[-1])).hidden[0])
    return network


TOKENIZER = hearing_tokenizer()
CODEC = SpeechTokenCodec(TOKENIZER)


def test_other_sound_gets_other_codes() -> None:
    """Or the tests below would compare nothing."""
    codes = [CODEC.encode(noise(20_000, seed), RATE) for seed in range(2)]
    assert len(set(codes[0].tolist())) > 4
    assert float((codes[0] != codes[1]).float().mean()) > 0.5


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40_000), st.sampled_from([8000, 16_000, 22_050, 24_000, 48_000]))
def test_there_are_twelve_and_a_half_codes_a_second(num_samples: int, rate: int) -> None:
    codes = CODEC.encode(noise(num_samples), rate)
    assert codes.dtype == torch.int64
    assert len(codes) == math.ceil(math.ceil(num_samples * RATE / rate) / 1280)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 12_000), min_size=1, max_size=4))
def test_a_clip_reads_the_same_in_company(lengths: list[int]) -> None:
    """However loud the others are: every clip has its own range of levels."""
    clips = [noise(length, seed=i) // 10 ** (i % 3) for i, length in enumerate(lengths)]
    together = CODEC.encode_many([(clip, RATE) for clip in clips])
    for clip, codes in zip(clips, together, strict=True):
        assert torch.equal(codes, CODEC.encode(clip, RATE))


def test_a_faint_clip_keeps_its_own_range_of_levels() -> None:
    faint, loud = torch.zeros(2, 12_800)
    faint[5000] = 1e-4
    loud[5000] = 1.0
    together = log_mel(torch.stack([faint, loud]))
    torch.testing.assert_close(together, torch.cat([log_mel(faint[None]), log_mel(loud[None])]))


def test_only_a_very_loud_end_is_read_otherwise_in_company() -> None:
    """What the codec documents: mirrored, such an end is louder, and faint sound is raised to fit the loudest."""
    faint = np.random.default_rng(0).normal(0, 1e-7, 10 * 1280).astype(np.float32)
    burst = np.concatenate([faint[:-60], np.sin(np.arange(60), dtype=np.float32)])
    early = np.concatenate([burst[-1280:], faint[1280:]])
    padded = [torch.nn.functional.pad(torch.from_numpy(clip), (0, 5 * 1280))[None] for clip in (burst, early)]
    alone = [log_mel(torch.from_numpy(clip)[None]) for clip in (burst, early)]
    changed = [
        (log_mel(long)[..., :79] - short[..., :79]).abs().amax() for long, short in zip(padded, alone, strict=True)
    ]
    assert float(changed[0]) > 0.1
    assert float(changed[1]) < 1e-5


def test_no_more_pieces_than_allowed_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_tokens, "PIECES_AT_ONCE", 2)
    batches: list[int] = []
    hook = TOKENIZER.register_forward_pre_hook(lambda _network, inputs: batches.append(len(inputs[0])))
    clips = [noise(length, seed=i) for i, length in enumerate((31 * RATE, 1280, 5000))]
    found = CODEC.encode_many([(clip, RATE) for clip in clips])
    hook.remove()
    assert batches == [2, 2]
    for clip, codes in zip(clips, found, strict=True):
        assert torch.equal(codes, CODEC.encode(clip, RATE))
    assert CODEC.encode_many([]) == []


def test_long_clips_are_cut_into_pieces() -> None:
    clip = noise(31 * RATE)
    pieces = [CODEC.encode(clip[: 30 * RATE], RATE), CODEC.encode(clip[30 * RATE :], RATE)]
    assert torch.equal(CODEC.encode(clip, RATE), torch.cat(pieces))


def test_the_first_channel_is_read_in_whatever_form_it_comes() -> None:
    left = noise(5000)
    stereo = np.stack([left, noise(5000, seed=1)], -1)
    codes = CODEC.encode(left, RATE)
    assert torch.equal(CODEC.encode(stereo, RATE), codes)
    assert torch.equal(CODEC.encode((left / 32768).astype(np.float32), RATE), codes)


@pytest.mark.parametrize(
    ("samples", "rate", "said"),
    [
        (np.zeros(0, np.int16), RATE, r"shape \(0,\)"),
        (np.zeros((2, 3, 4), np.int16), RATE, r"shape \(2, 3, 4\)"),
        (np.zeros(5, np.int64), RATE, "type int64"),
        (np.array([0, np.nan], np.float32), RATE, "NaN or infinite samples"),
        (np.zeros(5, np.int16), 0, "0 Hz came; it must be above 0"),
    ],
)
def test_what_is_no_sound_is_refused(samples: np.ndarray, rate: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CODEC.encode(samples, rate)


def test_each_filter_has_the_same_area_and_they_rise_in_pitch() -> None:
    filters = mel_filters(80)
    tops = filters.argmax(0)
    assert bool((tops.diff() >= 0).all())
    areas = filters.sum(0) * 40  # 40 Hz a bin
    torch.testing.assert_close(areas[20:], torch.ones(60), atol=0.2, rtol=0)


def test_a_tone_is_loudest_in_its_own_bin() -> None:
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(16_000) / RATE)[None]
    levels = log_mel(tone)
    centre = mel_filters(128)[25].argmax()  # 1000 Hz is the 25th of 40 Hz
    assert levels.shape == (1, 128, 100)
    assert int(levels[0, :, 50].argmax()) == int(centre)
    assert float(levels.max() - levels.min()) <= 2.0001
