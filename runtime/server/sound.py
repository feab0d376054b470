"""The engine's sound as it goes over the wire: PCM16 little endian at 24 kHz, in base64, in pieces."""

import base64

import numpy as np
import torch

from omnisdk.protocol.limits import BYTES_PER_SECOND, WIRE_SAMPLE_RATE_HZ
from runtime.codecs.speech import resample
from runtime.engine.output import Sound

CHUNK_BYTES = 2 * BYTES_PER_SECOND  # two seconds: 128 KiB in base64, far below what any client takes


def wire_pcm(sound: Sound) -> bytes:
    samples = resample(torch.from_numpy(sound.pcm.astype(np.float32)), sound.sample_rate_hz, WIRE_SAMPLE_RATE_HZ)
    return samples.round().clamp(-32768, 32767).numpy().astype("<i2").tobytes()


def wire_chunks(sound: Sound) -> list[str]:
    """The sound in base64, each piece a whole number of samples; joined and decoded they are `wire_pcm`."""
    pcm = wire_pcm(sound)
    pieces = (pcm[first : first + CHUNK_BYTES] for first in range(0, len(pcm), CHUNK_BYTES))
    return [base64.b64encode(piece).decode("ascii") for piece in pieces]
