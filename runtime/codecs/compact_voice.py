"""The embedded model's voice: codes to sound and sound to codes, at 24 kHz and 25 codes a second."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from runtime.codecs.speech import resample
from runtime.codecs.speech_tokens import Samples, mel_filters, mono
from runtime.models.compact_voice import CompactVoice

SAMPLE_RATE_HZ = 24_000
FFT_SIZE, HOP_SAMPLES = 1024, 240
FRAMES_PER_SECOND = SAMPLE_RATE_HZ // HOP_SAMPLES
MELS = 80
QUIETEST = 1e-4
SEED = 42  # the breath in the voice is drawn from here, always the same
HOP_CODES = 10


def log_mel(samples: Tensor) -> Tensor:
    """(batch, samples) at 24 kHz in [-1, 1] -> (batch, samples // 240, 80) log mel energies."""
    spectrum = torch.stft(samples, FFT_SIZE, HOP_SAMPLES, window=torch.hann_window(FFT_SIZE), return_complex=True)
    energies = spectrum.abs().transpose(1, 2) @ mel_filters(MELS, FFT_SIZE, SAMPLE_RATE_HZ)
    return energies.clamp(min=QUIETEST).log()[:, : samples.shape[-1] // HOP_SAMPLES]


class CompactVoiceStream:
    """The sound of one answer in pieces, together the whole's samples: no code hears far ahead, so what lies far
    enough before the last code known does not change any more. A push costs as much as decoding all codes so far."""

    def __init__(self, network: CompactVoice) -> None:
        self._network = network
        self._generator = torch.Generator().manual_seed(SEED)
        self._noise = torch.zeros(0, network.config.vocoder.bins, dtype=torch.complex64)
        self._codes = torch.zeros(0, dtype=torch.long)
        self._told = 0  # samples
        self._ended = False

    @property
    def hop_codes(self) -> int:
        """So many new codes are worth a push."""
        return HOP_CODES

    @torch.inference_mode()
    def push(self, codes: Tensor, final: bool = False) -> Tensor:
        """codes: (n,) int64, all so far. final: no more will come -> (samples,) float32 in [-1, 1], what is new.

        There may be nothing new. Raises ValueError for codes that are unknown, fewer or others than before, and for
        any after the final ones.
        """
        self._check(codes, final)
        self._codes, self._ended = codes.clone(), final
        config = self._network.config
        per_code = config.codec.frames_per_code
        ahead = 0 if final else config.codec.frames_ahead + config.vocoder.frames_ahead
        known = (len(codes) * per_code - ahead) * config.vocoder.hop_samples
        if known <= self._told:
            return torch.zeros(0)
        samples = self._sound(codes)[self._told : known]
        self._told = known
        return samples

    def _sound(self, codes: Tensor) -> Tensor:
        """Of all codes: (samples,)."""
        device = self._network.codec.mean.device
        frames = self._network.codec.decode(codes[None].to(device))
        frames[..., -1] = (frames[..., -1] > 0).float()
        self._draw_noise(frames.shape[1])
        samples: Tensor = self._network.vocoder(frames, self._noise[None].to(device))[0]
        return samples.clamp(-1, 1).cpu()

    def _draw_noise(self, num_frames: int) -> None:
        """Code by code, and kept: what was told does not change, and the whole at once sounds the same."""
        per_code, bins = self._network.config.codec.frames_per_code, self._network.config.vocoder.bins
        pieces = [self._noise]
        for _ in range((num_frames - len(self._noise)) // per_code):
            real, imaginary = torch.randn(2, per_code, bins, generator=self._generator) * math.sqrt(0.5)
            pieces.append(torch.complex(real, imaginary))
        self._noise = torch.cat(pieces)

    def _check(self, codes: Tensor, final: bool) -> None:
        if self._ended:
            raise ValueError("codes came after the final ones; begin a new stream for another answer")
        if codes.ndim != 1 or (final and not len(codes)):
            raise ValueError(f"speech codes of shape {tuple(codes.shape)} came; a row of at least one is needed")
        most = self._network.config.codec.num_codes
        if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < most:
            raise ValueError(
                f"speech codes from {int(codes.min())} to {int(codes.max())} came; this voice knows 0 to {most - 1}"
            )
        before = len(self._codes)
        if not torch.equal(codes[:before].cpu(), self._codes.cpu()):
            raise ValueError(f"the first {before} codes were given already and cannot change; give all codes so far")


class CompactVoiceCodec:
    """Implements `runtime.engine.preview.Voice`, and hears too."""

    def __init__(self, network: CompactVoice) -> None:
        self.network = network.eval()

    @property
    def sample_rate_hz(self) -> int:
        return self.network.config.vocoder.sample_rate_hz

    @property
    def codes_per_second(self) -> float:
        return self.network.codes_per_second

    def decode(self, codes: Tensor) -> Tensor:
        """(n,) int64 codes -> (samples,) float32 in [-1, 1]; the same codes sound the same. Raises ValueError."""
        return self.stream().push(codes, final=True)

    def pcm(self, codes: Tensor) -> NDArray[np.int16]:
        """(n,) codes -> (samples,) int16."""
        samples: NDArray[np.int16] = (self.decode(codes) * 32767).round().to(torch.int16).numpy()
        return samples

    def stream(self) -> CompactVoiceStream:
        return CompactVoiceStream(self.network)

    @torch.inference_mode()
    def encode(self, samples: Samples, sample_rate_hz: int) -> Tensor:
        """(samples,) int16 or float32 in [-1, 1], or (samples, channels), of which the first is read -> (n,) int64.

        n = ceil(seconds * 25). Raises ValueError for what is no sound.
        """
        whole = resample(mono(samples, sample_rate_hz), sample_rate_hz, SAMPLE_RATE_HZ)
        code_samples = self.network.config.codec.frames_per_code * HOP_SAMPLES
        length = max(math.ceil(len(whole) / code_samples) * code_samples, FFT_SIZE)
        mel = log_mel(F.pad(whole, (0, length - len(whole)))[None])
        frames = math.ceil(len(whole) / code_samples) * self.network.config.codec.frames_per_code
        return self.network.codec.encode(mel[:, :frames].to(self.network.codec.mean))[0].cpu()
