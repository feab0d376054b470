import math
from dataclasses import replace

import pytest
import torch

from runtime.models.speech_codec import Levels, SpeechCodec, SpeechCodecConfig, deepened

SMALL = SpeechCodecConfig(mels=8, levels=(4, 4, 3), frame_width=8, code_width=16)


@pytest.fixture(scope="module")
def codec() -> SpeechCodec:
    torch.manual_seed(0)
    return SpeechCodec(SMALL).eval()


def test_every_code_is_its_own_numbers() -> None:
    levels = Levels((4, 4, 3))
    numbers = levels.numbers(torch.arange(48))
    assert len(torch.unique(numbers, dim=0)) == 48
    assert float(numbers.min()) == -1
    assert float(numbers.max()) == 1
    # What was rounded to these numbers has the same codes.
    assert torch.equal(levels.codes(torch.atanh(numbers * 0.9)), torch.arange(48))


def test_gradients_pass_the_rounding() -> None:
    levels = Levels((4, 4, 3))
    x = torch.tensor([[0.3, -0.4, 0.1]], requires_grad=True)
    quantized = levels.quantized(x)
    assert torch.allclose(quantized, levels.numbers(levels.codes(x)))
    quantized.sum().backward()
    assert x.grad is not None
    assert bool((x.grad > 0.1).all())


def test_shapes_and_what_is_learned_in_physical_units(codec: SpeechCodec) -> None:
    codes = codec.encode(torch.randn(2, 20, 8))
    assert codes.shape == (2, 5)
    assert 0 <= int(codes.min()) <= int(codes.max()) < SMALL.num_codes == 48
    frames = codec.decode(codes)
    assert frames.shape == (2, 20, SMALL.frame_values)
    codec.mean += 3
    assert torch.allclose(codec.decode(codes), frames + 3)
    codec.mean -= 3


def test_no_frame_depends_on_more_than_is_said_to_lie_ahead(codec: SpeechCodec) -> None:
    codes = torch.randint(0, 48, (1, 40))
    later = codes.clone()
    later[:, 30:] = (later[:, 30:] + 1) % 48
    changed = (codec.decode(codes) != codec.decode(later)).any(-1)[0].nonzero()[:, 0]
    first = 30 * SMALL.frames_per_code
    assert int(changed[0]) < first
    assert int(changed[0]) >= first - SMALL.frames_ahead


def test_formants_are_deepened_and_level_and_tilt_left() -> None:
    middles = (torch.arange(80) + 0.5) * math.pi / 80
    tilted, formants = -4 + 2 * middles.cos(), (5 * middles).cos() + 0.3 * (9 * middles).cos()
    assert torch.allclose(deepened((tilted + formants)[None], 1.3)[0], tilted + 1.3 * formants, atol=1e-4)


def test_contrast_changes_only_the_mel_energies(codec: SpeechCodec) -> None:
    codes = torch.randint(0, 48, (1, 5))
    sharp = SpeechCodec(replace(SMALL, contrast=1.5)).eval()
    sharp.load_state_dict(codec.state_dict())
    plain, mels = codec.decode(codes), SMALL.mels
    assert torch.equal(sharp.decode(codes)[..., mels:], plain[..., mels:])
    assert torch.allclose(sharp.decode(codes)[..., :mels], deepened(plain[..., :mels], 1.5))
