"""Sound to speech codes: Whisper's log-mel front end, then the speech tokenizer."""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from runtime.codecs.speech import SAMPLE_RATE_HZ, resample
from runtime.models.speech_tokenizer import SpeechTokenizer

FFT_SIZE, HOP_SAMPLES = 400, 160  # 25 ms windows every 10 ms
PIECE_SECONDS = 30  # longer clips are cut, each piece is encoded alone
PIECES_AT_ONCE = 128
SLANEY_LINEAR_HZ, SLANEY_BREAK_HZ = 200 / 3, 1000.0  # a mel is this many Hz up to there, logarithmic beyond
SLANEY_LOG_STEP = math.log(6.4) / 27

Samples = NDArray[np.int16] | NDArray[np.float32]


class SpeechTokenCodec:
    """Clips to the codes of a speech tokenizer."""

    def __init__(self, tokenizer: SpeechTokenizer) -> None:
        self._tokenizer = tokenizer.eval()
        config = tokenizer.config
        self._num_bins = config.num_mel_bins
        self._code_samples = config.frames_per_code * HOP_SAMPLES

    @property
    def code_s(self) -> float:
        """Seconds that a code stands for."""
        return self._code_samples / SAMPLE_RATE_HZ

    def encode(self, samples: Samples, sample_rate_hz: int) -> Tensor:
        """(samples,) int16 or float32 in [-1, 1], or (samples, channels), of which the first is read -> (n,) int64."""
        return self.encode_many([(samples, sample_rate_hz)])[0]

    @torch.inference_mode()
    def encode_many(self, clips: Sequence[tuple[Samples, int]]) -> list[Tensor]:
        """Codes of each clip: (n,) int64, n = ceil(samples at 16 kHz / 1280).

        Clips are padded to the longest. A shorter one gets the codes it gets alone, unless its last 12.5 ms are its
        loudest: a mirrored end is louder than one in silence, and all that is faint is raised to fit the loudest.
        """
        pieces = [(i, piece) for i, clip in enumerate(clips) for piece in self._pieces(*clip)]
        found: list[list[Tensor]] = [[] for _ in clips]
        for start in range(0, len(pieces), PIECES_AT_ONCE):
            batch = pieces[start : start + PIECES_AT_ONCE]
            for (i, _), codes in zip(batch, self._encode([piece for _, piece in batch]), strict=True):
                found[i].append(codes)
        return [torch.cat(codes) for codes in found]

    def _pieces(self, samples: Samples, sample_rate_hz: int) -> Sequence[Tensor]:
        whole = resample(mono(samples, sample_rate_hz), sample_rate_hz)
        return torch.split(whole, PIECE_SECONDS * SAMPLE_RATE_HZ)

    def _encode(self, pieces: Sequence[Tensor]) -> list[Tensor]:
        longest = max(map(len, pieces))
        length = math.ceil(longest / self._code_samples) * self._code_samples
        padded = torch.stack([torch.nn.functional.pad(piece, (0, length - len(piece))) for piece in pieces])
        mel = log_mel(padded, self._num_bins)
        starts = torch.arange(mel.shape[-1]) * HOP_SAMPLES
        mask = starts[None] < torch.tensor([[len(piece)] for piece in pieces])
        weights = self._tokenizer.conv1.weight
        encoded = self._tokenizer(mel.to(weights), mask.to(weights.device))
        return [codes[real].cpu() for codes, real in zip(encoded.codes, encoded.mask, strict=True)]


def mono(samples: Samples, sample_rate_hz: int) -> Tensor:
    """The first channel as (samples,) float32 in [-1, 1]. Raises ValueError for what is no sound."""
    if sample_rate_hz <= 0:
        raise ValueError(f"a sample rate of {sample_rate_hz} Hz came; it must be above 0")
    if samples.ndim not in (1, 2) or 0 in samples.shape or samples.dtype not in (np.int16, np.float32):
        raise ValueError(
            f"sound of shape {samples.shape} and type {samples.dtype} came; (samples,) or (samples, channels) of int16 "
            "or float32, one sample at least, is needed"
        )
    first = samples if samples.ndim == 1 else samples[:, 0]
    if not np.isfinite(first).all():
        raise ValueError("sound with NaN or infinite samples came; all must be finite: decode or record it again")
    scale = 32768 if samples.dtype == np.int16 else 1
    return torch.from_numpy(np.ascontiguousarray(first, dtype=np.float32)) / scale


def log_mel(samples: Tensor, num_bins: int = 128) -> Tensor:
    """(batch, samples) at 16 kHz, a multiple of 160 -> (batch, bins, samples / 160): Whisper's, each clip's own range.

    Energies more than 8 powers of ten under the clip's loudest are raised to that.
    """
    window = torch.hann_window(FFT_SIZE)
    mirrored = torch.nn.functional.pad(samples[:, None], (FFT_SIZE // 2, FFT_SIZE // 2), mode="reflect")[:, 0]
    spectrum = torch.stft(mirrored, FFT_SIZE, HOP_SAMPLES, window=window, center=False, return_complex=True)
    power = spectrum[..., :-1].abs() ** 2
    levels = (mel_filters(num_bins).T @ power).clamp(min=1e-10).log10()
    levels = levels.maximum(levels.amax((1, 2), keepdim=True) - 8)
    return (levels + 4) / 4


@cache
def mel_filters(num_bins: int, fft_size: int = FFT_SIZE, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Tensor:
    """Triangles of equal area on Slaney's mel scale, 0 Hz to Nyquist: (fft_size // 2 + 1, bins)."""
    top = SLANEY_BREAK_HZ / SLANEY_LINEAR_HZ + math.log(sample_rate_hz / 2 / SLANEY_BREAK_HZ) / SLANEY_LOG_STEP
    mels = torch.linspace(0, top, num_bins + 2, dtype=torch.float64)
    break_mel = SLANEY_BREAK_HZ / SLANEY_LINEAR_HZ
    beyond = SLANEY_BREAK_HZ * ((mels - break_mel) * SLANEY_LOG_STEP).exp()
    edges = torch.where(mels < break_mel, mels * SLANEY_LINEAR_HZ, beyond)
    hz = torch.linspace(0, sample_rate_hz / 2, fft_size // 2 + 1, dtype=torch.float64)[:, None]
    up = (hz - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - hz) / (edges[2:] - edges[1:-1])
    return (torch.minimum(up, down).clamp(min=0) * 2 / (edges[2:] - edges[:-2])).float()
