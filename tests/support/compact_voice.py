"""The embedded model's kind of voice with small random weights."""

import torch

from runtime.models.compact_voice import CompactVoice, CompactVoiceConfig
from runtime.models.harmonic_vocoder import HarmonicVocoderConfig
from runtime.models.speech_codec import SpeechCodecConfig


def compact_voice(text_tokens: int, levels: tuple[int, ...] = (4, 4, 2)) -> CompactVoice:
    """32 codes; every token lasts two codes, three as the last."""
    torch.manual_seed(0)
    config = CompactVoiceConfig(
        text_tokens,
        SpeechCodecConfig(levels=levels, frame_width=16, code_width=16),
        HarmonicVocoderConfig(width=16),
    )
    voice = CompactVoice(config).eval()
    voice.durations.copy_(torch.tensor([2.0, 3.0]).expand(text_tokens, 2))
    voice.silence.copy_(torch.tensor([1.0, 2.0]))
    return voice
