"""The voice of the embedded model, all that its codes need to be heard: codec, vocoder, and how long words last."""

from dataclasses import dataclass, field

import torch
from torch import nn

from runtime.models.harmonic_vocoder import HarmonicVocoder, HarmonicVocoderConfig
from runtime.models.speech_codec import SpeechCodec, SpeechCodecConfig


@dataclass(frozen=True)
class CompactVoiceConfig:
    """text_tokens: of the text codec whose tokens' durations are known."""

    text_tokens: int
    codec: SpeechCodecConfig = field(default_factory=SpeechCodecConfig)
    vocoder: HarmonicVocoderConfig = field(default_factory=HarmonicVocoderConfig)


class CompactVoice(nn.Module):
    """durations: (text tokens, 2) codes a token lasts, inside an utterance and as its last. silence: (2,) codes before
    the first and behind the last."""

    def __init__(self, config: CompactVoiceConfig) -> None:
        super().__init__()
        self.config = config
        self.codec = SpeechCodec(config.codec)
        self.vocoder = HarmonicVocoder(config.vocoder)
        self.durations = nn.Parameter(torch.ones(config.text_tokens, 2), requires_grad=False)
        self.silence = nn.Parameter(torch.ones(2), requires_grad=False)

    @property
    def codes_per_second(self) -> float:
        """A code's frames and the vocoder's hops are one grid."""
        vocoder = self.config.vocoder
        return vocoder.sample_rate_hz / vocoder.hop_samples / self.config.codec.frames_per_code
