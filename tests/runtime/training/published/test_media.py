from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from runtime.models.speech_tokenizer import SpeechTokenizer, SpeechTokenizerConfig
from runtime.training.published.layout import DRAWN_PX, READ_PX
from runtime.training.published.media import ModelMedia
from runtime.training.published.samples import SampleError
from tests.support.tiny_model import tiny_model
from tests.support.tiny_samples import write_picture, write_sound

MODEL = tiny_model()
TOKENIZER = SpeechTokenizer(
    SpeechTokenizerConfig(d_model=16, encoder_attention_heads=2, encoder_ffn_dim=24, quantize_position=1)
)


def test_sound_becomes_features_and_codes(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", seconds=1.0, rate_hz=22_050)
    media = ModelMedia(replace(MODEL, speech_tokenizer=TOKENIZER))
    assert media.speech_features(tmp_path / "a.wav").shape == (17, 560)
    assert len(media.speech_codes(tmp_path / "a.wav")) == 13


def test_pictures_are_read_at_their_own_size_in_requests(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png")
    media = ModelMedia(replace(MODEL, prompt_image_size_px=160))
    assert len(media.image_codes(tmp_path / "a.png", DRAWN_PX)) == 100
    assert len(media.image_codes(tmp_path / "a.png", READ_PX)) == 400


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    (tmp_path / "a.png").write_bytes(b"no picture")
    media = ModelMedia(MODEL)
    with pytest.raises(SampleError, match=r"a\.wav: cannot be read as sound"):
        media.speech_features(tmp_path / "a.wav")
    with pytest.raises(SampleError, match=r"gone\.wav"):
        media.speech_features(tmp_path / "gone.wav")
    with pytest.raises(SampleError, match=r"a\.png: cannot be read as a picture"):
        media.image_codes(tmp_path / "a.png", DRAWN_PX)


def test_a_model_without_a_speech_tokenizer_says_so(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="needs a speech tokenizer, and tiny has none"):
        ModelMedia(MODEL).speech_codes(tmp_path / "a.wav")


@torch.inference_mode()
def test_features_can_be_learned_from(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav")
    features = ModelMedia(MODEL).speech_features(tmp_path / "a.wav")
    assert features.isfinite().all()


def test_sound_beyond_full_scale_is_clipped(tmp_path: Path) -> None:
    time = np.arange(8000) / 16_000
    wave = np.sin(2 * np.pi * 200 * time)
    for name, samples in (("loud", 1.3 * wave), ("clipped", (1.3 * wave).clip(-1, 1))):
        soundfile.write(tmp_path / f"{name}.wav", samples.astype(np.float32), 16_000, subtype="FLOAT")
    media = ModelMedia(MODEL)
    loud, clipped = (media.speech_features(tmp_path / f"{name}.wav") for name in ("loud", "clipped"))
    assert torch.allclose(loud, clipped)


def test_a_16_bit_file_is_read_as_it_is(tmp_path: Path) -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32768, 8000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", pcm, 16_000, subtype="PCM_16")
    assert torch.equal(ModelMedia(MODEL).speech_features(tmp_path / "a.wav"), MODEL.front_end(pcm, 16_000))
