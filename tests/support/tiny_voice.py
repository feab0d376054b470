"""A speech decoder of the real classes with small random weights."""

from dataclasses import replace

import torch

from runtime.codecs.speech_stream import StreamingSpeechDecoder
from runtime.models.speech_flow.conformer import ConformerConfig
from runtime.models.speech_flow.flow import FlowConfig, SpeechFlow
from runtime.models.speech_flow.unet import UNetConfig
from runtime.models.vocoder import F0PredictorConfig, Vocoder, VocoderConfig

MELS = 8
FLOW = FlowConfig(
    input_size=12,
    output_size=MELS,
    spk_embed_dim=4,
    vocab_size=32,
    encoder=ConformerConfig(12, 16, attention_heads=2, linear_units=24, num_blocks=2, block_size=4),
    estimator=UNetConfig(4 * MELS, MELS, (16, 16), attention_head_dim=8, n_blocks=1, num_mid_blocks=1, num_heads=2),
)
VOCODER = VocoderConfig(in_channels=MELS, base_channels=16, f0_predictor=F0PredictorConfig(MELS, 8))


def tiny_voice(num_codes: int = 32, flow_steps: int = 2) -> StreamingSpeechDecoder:
    torch.manual_seed(0)
    return StreamingSpeechDecoder(SpeechFlow(replace(FLOW, vocab_size=num_codes)), Vocoder(VOCODER), flow_steps)
