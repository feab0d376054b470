import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.codecs.compact_voice import SAMPLE_RATE_HZ, CompactVoiceCodec, log_mel
from tests.support.compact_voice import compact_voice

CODES = torch.arange(40) * 7 % 32


@pytest.fixture(scope="module")
def codec() -> CompactVoiceCodec:
    return CompactVoiceCodec(compact_voice(10))


def test_a_code_is_a_25th_of_a_second(codec: CompactVoiceCodec) -> None:
    assert codec.sample_rate_hz == SAMPLE_RATE_HZ
    assert codec.codes_per_second == 25
    assert len(codec.decode(CODES)) == 40 * 960
    pcm = codec.pcm(CODES)
    assert pcm.dtype == np.int16
    assert np.array_equal(pcm, codec.pcm(CODES))


@settings(max_examples=10, deadline=None)
@given(counts=st.lists(st.integers(1, 40), max_size=4).map(sorted))
def test_pieces_are_together_exactly_the_whole(codec: CompactVoiceCodec, counts: list[int]) -> None:
    stream = codec.stream()
    pieces = [stream.push(CODES[:count]) for count in counts]
    pieces.append(stream.push(CODES, final=True))
    assert torch.equal(torch.cat(pieces), codec.decode(CODES))


def test_speech_is_told_before_its_end(codec: CompactVoiceCodec) -> None:
    assert len(codec.stream().push(CODES[:20])) > 0


def test_it_hears_as_many_codes_as_it_would_say(codec: CompactVoiceCodec) -> None:
    clip = np.random.default_rng(0).normal(0, 3000, 16_000).astype(np.int16)
    codes = codec.encode(clip, 16_000)
    assert codes.shape == (25,)
    assert 0 <= int(codes.min()) <= int(codes.max()) < 32
    assert torch.equal(codes, codec.encode(np.stack([clip, clip], 1), 16_000))
    assert len(codec.encode(clip[:100], 16_000)) == 1


def test_a_tone_stands_at_its_place_among_the_mel_energies() -> None:
    seconds = torch.arange(24_000) / SAMPLE_RATE_HZ
    low, high = (log_mel(torch.sin(2 * torch.pi * hz * seconds)[None])[0, 50] for hz in (300.0, 3000.0))
    assert log_mel(seconds[None]).shape == (1, 100, 80)
    assert int(low.argmax()) < 10 < int(high.argmax())


@pytest.mark.parametrize(
    ("codes", "says"),
    [
        (torch.zeros(0, dtype=torch.long), "a row of at least one is needed"),
        (torch.tensor([[1, 2]]), "a row of at least one is needed"),
        (torch.tensor([3, 32]), "this voice knows 0 to 31"),
        (torch.tensor([-1, 3]), "this voice knows 0 to 31"),
    ],
)
def test_codes_that_cannot_be_said_are_refused(codec: CompactVoiceCodec, codes: torch.Tensor, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        codec.decode(codes)


def test_what_was_said_cannot_change(codec: CompactVoiceCodec) -> None:
    stream = codec.stream()
    stream.push(CODES[:20])
    with pytest.raises(ValueError, match="the first 20 codes were given already"):
        stream.push(CODES[1:30])
    stream.push(CODES, final=True)
    with pytest.raises(ValueError, match="after the final ones"):
        stream.push(CODES, final=True)


def test_what_is_no_sound_is_refused(codec: CompactVoiceCodec) -> None:
    with pytest.raises(ValueError, match="one sample at least"):
        codec.encode(np.zeros(0, np.int16), 16_000)
