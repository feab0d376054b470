"""Speech codes to sound while they still come: overlapping windows of mel frames, faded into one another."""

import math

import torch
from torch import Tensor

from runtime.codecs.speech_decoder import FLOW_STEPS, SEED, SpeechDecoderCodec, draw_source_noise
from runtime.models.speech_flow.flow import Prompt, SpeechFlow
from runtime.models.vocoder import SourceNoise, Vocoder

OVERLAP_CODES = 5  # their frames are held back until more codes are known, then faded into those found anew
CONTEXT_FRAMES = 20  # on either side, more than the vocoder and its pitch look at


class SpeechStream:
    """The sound of one answer in pieces, together as long as the whole decoded at once.

    Each window goes on from the frames already settled, as from a prompt. It sees nothing of what comes later, and its
    noise is drawn as frames come; so the sound is another reading of the same codes, not the whole's samples. A single
    final push is the whole. Where windows overlap, the two fade shares are 1 together; the published ones are 1.08.

    A push costs as much as decoding all codes so far: push less often the longer the answer gets.
    """

    def __init__(
        self, flow: SpeechFlow, vocoder: Vocoder, flow_steps: int = FLOW_STEPS, prompt: Prompt | None = None
    ) -> None:
        """flow_steps, prompt: as for the decoder of whole answers."""
        if flow_steps < 1:
            raise ValueError(f"{flow_steps} flow steps came; at least 1 is needed")
        self._flow, self._vocoder, self._flow_steps = flow.eval(), vocoder.eval(), flow_steps
        self._device = flow.input_embedding.weight.device
        self._generator = torch.Generator().manual_seed(SEED)
        self._spoken = prompt or flow.no_prompt()  # the voice to go on with: what was given and what was said since
        self._num_given = self._spoken.codes.shape[1], self._spoken.mel.shape[1]
        self.noise = torch.zeros(1, flow.config.output_size, 0, device=self._device)  # a frame keeps its own
        self._held = self.noise  # frames found but not yet settled
        self._phase: Tensor | None = None
        self._turns = 0.0  # of the fundamental, up to the last settled frame
        self._excitation = torch.zeros(1, 1, 0, device=self._device)
        self._beyond = torch.zeros(0, device=self._device)  # how the sound would have gone on
        self._ended = False

    @property
    def hop_codes(self) -> int:
        """Codes that are decoded together: whole blocks of the encoder, and more than are held back."""
        block = self._flow.config.encoder.block_size
        return block * math.ceil(2 * OVERLAP_CODES / block)

    @property
    def mel(self) -> Tensor:
        """The settled frames: (1, mels, frames)."""
        return self._spoken.mel[:, self._num_given[1] :].transpose(1, 2)

    @torch.inference_mode()
    def push(self, codes: Tensor, final: bool = False) -> Tensor:
        """codes: (n,) int64, all so far. final: no more will come -> (samples,) float32 in [-1, 1], what is new.

        There may be nothing new. Raises ValueError for codes that are unknown, fewer or others than before, and for
        any after the final ones.
        """
        self._check(codes, final)
        said = self._spoken.codes.shape[1] - self._num_given[0]
        known = len(codes) if final else len(codes) // self.hop_codes * self.hop_codes
        if known == said and not final:
            return torch.zeros(0)
        self._ended = final
        frames = self._frames(codes[said:known].to(self._device))
        num_held = 0 if final else self._flow.num_frames(OVERLAP_CODES)
        num_settled = frames.shape[-1] - num_held
        self._held = frames[:, :, num_settled:]
        return self._sound(frames[:, :, :num_settled]).cpu()

    def _frames(self, codes: Tensor) -> Tensor:
        """From the last settled frame to the end of the codes: (1, mels, frames)."""
        if not len(codes):
            return self._held
        spoken = self._spoken
        together = torch.cat([spoken.codes, codes[None]], 1)
        new = self._flow.num_frames(together.shape[1]) - self.noise.shape[-1]
        # The noise before stays, so that what is found anew is near what was held back.
        drawn = torch.randn(1, self.noise.shape[1], new, generator=self._generator).to(self.noise)
        self.noise = torch.cat([self.noise, drawn], -1)
        found = self._flow(codes[None], self.noise, self._flow_steps, spoken)
        self._spoken = Prompt(together, spoken.mel, spoken.speaker)
        return faded(self._held, found)

    def _sound(self, settled: Tensor) -> Tensor:
        """Of frames newly settled, heard between the frames before and those held back: (samples,)."""
        hop = self._vocoder.config.hop_samples
        before = self.mel[:, :, -CONTEXT_FRAMES:]
        first, num_settled = before.shape[-1], settled.shape[-1]
        window = torch.cat([before, settled, self._held[:, :, :CONTEXT_FRAMES]], -1)
        pitch = self._vocoder.f0_predictor(window)[:, first:]
        excitation = torch.cat([self._excitation, self._excite(pitch)], -1)
        wave = self._vocoder(window, excitation)[0]
        start, stop = first * hop, (first + num_settled) * hop
        samples = faded(self._beyond, wave[start:stop])
        self._beyond = wave[stop : stop + hop]
        self._excitation = excitation[:, :, :stop][:, :, -CONTEXT_FRAMES * hop :]
        seconds = hop / self._vocoder.config.sampling_rate
        self._turns = (self._turns + float(pitch[:, :num_settled].double().sum()) * seconds) % 1
        mel = torch.cat([self._spoken.mel, settled.transpose(1, 2)], 1)
        self._spoken = Prompt(self._spoken.codes, mel, self._spoken.speaker)
        return samples

    def _excite(self, pitch: Tensor) -> Tensor:
        """pitch: (1, frames), Hz -> (1, 1, samples), going on in phase."""
        hop = self._vocoder.config.hop_samples
        drawn = draw_source_noise(self._vocoder, pitch.shape[1], self._generator, self._device)
        self._phase = drawn.phase if self._phase is None else self._phase
        # A frame in front, cut off again: at its pitch all harmonics turn as far as they have come.
        lead = pitch.new_full((1, 1), self._turns * self._vocoder.config.sampling_rate / hop)
        noise = torch.nn.functional.pad(drawn.noise, (hop, 0))
        return self._vocoder.source(torch.cat([lead, pitch], 1), SourceNoise(self._phase, noise))[:, :, hop:]

    def _check(self, codes: Tensor, final: bool) -> None:
        if self._ended:
            raise ValueError("codes came after the final ones; begin a new stream for another answer")
        if codes.ndim != 1 or (final and not len(codes)):
            raise ValueError(f"speech codes of shape {tuple(codes.shape)} came; a row of at least one is needed")
        most = self._flow.config.vocab_size
        if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < most:
            raise ValueError(
                f"speech codes from {int(codes.min())} to {int(codes.max())} came; this decoder knows 0 to {most - 1}"
            )
        said = self._spoken.codes[0, self._num_given[0] :].cpu()
        if not torch.equal(codes[: len(said)].cpu(), said):
            raise ValueError(f"the first {len(said)} codes are heard already and cannot change; give all codes so far")


class StreamingSpeechDecoder(SpeechDecoderCodec):
    """The decoder of whole answers, which can also say one while its codes come."""

    def stream(self) -> SpeechStream:
        return SpeechStream(self._flow, self._vocoder, self._flow_steps)


def faded(before: Tensor, after: Tensor) -> Tensor:
    """`after`, (…, n), with its first k values passing over from `before`, (…, k), k at most n."""
    length = before.shape[-1]
    share = (torch.arange(length, device=after.device) + 0.5) / max(length, 1)
    rise = (0.5 - 0.5 * torch.cos(math.pi * share)).to(after)
    return torch.cat([before * (1 - rise) + after[..., :length] * rise, after[..., length:]], -1)
