"""Speech to features: the front end of the speech encoder (SenseVoice's: Kaldi filterbank, stacked frames, CMVN)."""

import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES, HOP_SAMPLES, FFT_SIZE = 400, 160, 512  # 25 ms windows every 10 ms
NUM_BINS = 80
STACKED, STRIDE = 7, 6  # frames stacked into one row, and how far the next row is: a row every 60 ms


def resample(samples: Tensor, from_hz: int, to_hz: int = SAMPLE_RATE_HZ) -> Tensor:
    """Windowed-sinc resampling (Hann window, 6 zero crossings, roll-off 0.99) of (samples,) float32."""
    if from_hz == to_hz:
        return samples
    kernel, width, step_in, step_out = _sinc_kernel(from_hz, to_hz)
    padded = torch.nn.functional.pad(samples, (width, width + step_in))
    out = torch.nn.functional.conv1d(padded[None, None], kernel, stride=step_in)
    return out[0].T.reshape(-1)[: math.ceil(step_out * len(samples) / step_in)]


@cache
def _sinc_kernel(from_hz: int, to_hz: int) -> tuple[Tensor, int, int, int]:
    divisor = math.gcd(from_hz, to_hz)
    step_in, step_out = from_hz // divisor, to_hz // divisor
    crossings, cutoff = 6, min(step_in, step_out) * 0.99
    width = math.ceil(crossings * step_in / cutoff)
    time = torch.arange(-width, width + step_in, dtype=torch.float64)[None] / step_in
    time = (time - torch.arange(step_out, dtype=torch.float64)[:, None] / step_out) * cutoff
    time = time.clamp(-crossings, crossings)
    window = torch.cos(time * math.pi / crossings / 2) ** 2
    kernel = torch.sinc(time) * window * cutoff / step_in
    return kernel.float()[:, None], width, step_in, step_out


@cache
def _mel_filters() -> Tensor:
    """Kaldi triangles on the mel scale, 20 Hz to Nyquist: (FFT_SIZE // 2 + 1, NUM_BINS)."""

    def mel(hz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hz / 700.0)

    low, high = mel(torch.tensor([20.0, SAMPLE_RATE_HZ / 2]))
    edges = torch.linspace(float(low), float(high), NUM_BINS + 2)
    bins = mel(torch.arange(FFT_SIZE // 2 + 1) * SAMPLE_RATE_HZ / FFT_SIZE)[:, None]
    up = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(up, down).clamp(min=0)
    filters[-1] = 0  # Kaldi leaves the Nyquist bin out
    return filters


def filterbank(samples: Tensor) -> Tensor:
    """(samples,) float32 in [-1, 1] at 16 kHz -> (frames, 80) log mel energies, whole windows only."""
    if len(samples) < FRAME_SAMPLES:
        samples = torch.nn.functional.pad(samples, (0, FRAME_SAMPLES - len(samples)))
    frames = (samples * 32768).unfold(0, FRAME_SAMPLES, HOP_SAMPLES)
    frames = frames - frames.mean(1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], 1)
    frames = (frames - 0.97 * before) * torch.hamming_window(FRAME_SAMPLES, periodic=False)
    power: Tensor = torch.fft.rfft(frames, FFT_SIZE).abs() ** 2
    return (power @ _mel_filters()).clamp(min=torch.finfo(torch.float32).eps).log()


def stack_frames(frames: Tensor) -> Tensor:
    """(frames, 80) -> (ceil(frames / 6), 560): seven neighbours a row, the ends repeated."""
    rows = math.ceil(len(frames) / STRIDE)
    index = torch.arange(rows)[:, None] * STRIDE + torch.arange(STACKED) - (STACKED - 1) // 2
    return frames[index.clamp(0, len(frames) - 1)].flatten(1)


@dataclass(frozen=True)
class SpeechFrontEnd:
    """shift, scale: (560,) each; features are (stacked + shift) * scale.

    level: RMS the clip is brought to before anything else; None (the published model) leaves it.
    """

    shift: Tensor
    scale: Tensor
    level: float | None = None

    @classmethod
    def from_mvn(cls, path: Path) -> "SpeechFrontEnd":
        """Read a Kaldi nnet text file (am.mvn): the row after <AddShift> is added, that after <Rescale> multiplied."""
        rows = re.findall(r"\[([^\]]+)\]", path.read_text())
        wide = [torch.tensor([float(v) for v in row.split()]) for row in rows if len(row.split()) > 1]
        if len(wide) != 2 or len(wide[0]) != len(wide[1]):
            raise ValueError(f"{path}: expected one AddShift and one Rescale row of equal length, found {len(wide)}")
        shift, scale = wide
        return cls(shift, scale)

    def __call__(self, pcm: NDArray[np.int16], sample_rate_hz: int) -> Tensor:
        """(samples,) int16 mono at any rate -> (rows, 560), a row every 60 ms."""
        samples = resample(torch.from_numpy(pcm.astype(np.float32) / 32768), sample_rate_hz)
        if self.level is not None:
            samples = samples * (self.level / samples.pow(2).mean().sqrt().clamp(min=1e-4))
        return (stack_frames(filterbank(samples)) + self.shift) * self.scale
