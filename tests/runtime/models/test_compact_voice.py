import torch

from runtime.models.checkpoints import read_weights, save_weights
from runtime.models.compact_voice import CompactVoice, CompactVoiceConfig


def test_it_is_small_and_its_rates_are_one_grid() -> None:
    voice = CompactVoice(CompactVoiceConfig(text_tokens=661))
    assert sum(parameter.numel() for parameter in voice.parameters()) < 5_300_000
    assert voice.codes_per_second == 25


def test_what_is_measured_is_saved_with_the_weights(tmp_path) -> None:  # type: ignore[no-untyped-def]
    voice = CompactVoice(CompactVoiceConfig(text_tokens=5))
    voice.durations.copy_(torch.arange(10).view(5, 2))
    save_weights(voice, tmp_path / "voice.safetensors")
    saved = read_weights(tmp_path / "voice.safetensors")
    assert torch.equal(saved["durations"].float(), voice.durations)
    assert {"codec.mean", "vocoder.spread", "silence"} <= saved.keys()
