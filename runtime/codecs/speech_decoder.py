"""Speech codes to sound: flow matching to mel frames, then the vocoder."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.models.speech_flow.flow import Prompt, SpeechFlow
from runtime.models.vocoder import SourceNoise, Vocoder

SEED = 42  # the published decoder draws its noise from here, always the same
FLOW_STEPS = 10
COMPUTED_IN = (torch.float32, torch.float64)  # turns of the pitch are summed over samples, and spectra are taken


class SpeechDecoderCodec:
    """Codes to sound.

    flow_steps: Euler steps of the flow; fewer are faster and rougher.
    """

    def __init__(self, flow: SpeechFlow, vocoder: Vocoder, flow_steps: int = FLOW_STEPS) -> None:
        if flow_steps < 1:
            raise ValueError(f"{flow_steps} flow steps came; at least 1 is needed")
        for dtype in {parameter.dtype for network in (flow, vocoder) for parameter in network.parameters()}:
            if dtype not in COMPUTED_IN:
                raise ValueError(f"the speech decoder came in {dtype}; it computes in float32, load it with that dtype")
        self._flow, self._vocoder = flow.eval(), vocoder.eval()
        self._flow_steps = flow_steps

    @property
    def sample_rate_hz(self) -> int:
        return self._vocoder.config.sampling_rate

    @property
    def codes_per_second(self) -> float:
        return self._flow.config.input_frame_rate

    @torch.inference_mode()
    def decode(self, codes: Tensor, prompt: Prompt | None = None) -> Tensor:
        """(n,) int64 codes -> (samples,) float32 in [-1, 1]. The same codes sound the same on one device.

        prompt: a voice to go on with; None is the model's own. Raises ValueError for no codes and for unknown ones,
        and for a prompt that does not fit.
        """
        self._check(codes)
        if prompt is not None:
            self._check_prompt(prompt, len(codes))
        device = self._flow.input_embedding.weight.device
        prompt = prompt or self._flow.no_prompt()
        frames = self._flow.num_frames(prompt.codes.shape[1] + len(codes))
        generator = torch.Generator().manual_seed(SEED)
        noise = torch.randn(1, self._flow.config.output_size, frames, generator=generator).to(device)
        mel = self._flow(codes[None].to(device), noise, self._flow_steps, prompt)
        drawn = draw_source_noise(self._vocoder, mel.shape[-1], generator, device)
        excitation = self._vocoder.source(self._vocoder.f0_predictor(mel), drawn)
        samples: Tensor = self._vocoder(mel, excitation)[0].cpu()
        return samples

    def pcm(self, codes: Tensor) -> NDArray[np.int16]:
        """(n,) codes -> (samples,) int16."""
        samples: NDArray[np.int16] = (self.decode(codes) * 32767).round().to(torch.int16).numpy()
        return samples

    def _check(self, codes: Tensor) -> None:
        most = self._flow.config.vocab_size
        if codes.ndim != 1 or not len(codes):
            raise ValueError(f"speech codes of shape {tuple(codes.shape)} came; a row of at least one is needed")
        if codes.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"speech codes came as {codes.dtype}; int64 is needed")
        low, high = int(codes.min()), int(codes.max())
        if low < 0 or high >= most:
            raise ValueError(f"speech codes from {low} to {high} came; this decoder knows 0 to {most - 1}")

    def _check_prompt(self, prompt: Prompt, num_codes: int) -> None:
        config = self._flow.config
        if prompt.codes.numel():
            self._check(prompt.codes.squeeze(0))
        frames = self._flow.num_frames(prompt.codes.shape[-1] + num_codes)
        if prompt.mel.ndim != 3 or prompt.mel.shape[::2] != (1, config.output_size) or prompt.mel.shape[1] >= frames:
            raise ValueError(
                f"a prompt's mel frames of shape {tuple(prompt.mel.shape)} came; with these codes it may be "
                f"(1, 0 to {frames - 1}, {config.output_size})"
            )
        if prompt.speaker.shape != (1, config.spk_embed_dim):
            raise ValueError(
                f"a speaker of shape {tuple(prompt.speaker.shape)} came; (1, {config.spk_embed_dim}) is needed"
            )


def draw_source_noise(vocoder: Vocoder, frames: int, generator: torch.Generator, device: torch.device) -> SourceNoise:
    """Chance of the excitation, for so many mel frames, in the published order: phases, then noise."""
    harmonics = vocoder.config.nb_harmonics + 1
    phase = torch.rand(1, harmonics, 1, generator=generator) * (2 * math.pi) - math.pi
    noise = torch.randn(1, harmonics, frames * vocoder.config.hop_samples, generator=generator)
    return SourceNoise(phase.to(device), noise.to(device))
