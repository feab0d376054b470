"""The engine's sound as it goes over the wire: in the encoding the client wants, in pieces."""

import numpy as np
import torch

from omnisdk.protocol.audio import PCM, Encoding
from runtime.codecs.speech import resample
from runtime.engine.output import Sound

CHUNK_S = 2  # 128 KiB in base64 at most, far below what any client takes


def wire_pcm(sound: Sound, encoding: Encoding = PCM) -> bytes:
    samples = resample(torch.from_numpy(sound.pcm.astype(np.float32)), sound.sample_rate_hz, encoding.rate_hz)
    return encoding.wire_bytes(samples.round().clamp(-32768, 32767).numpy().astype(np.int16))


def wire_chunks(sound: Sound, encoding: Encoding = PCM) -> list[bytes]:
    """`wire_pcm` in pieces of whole samples."""
    pcm, size = wire_pcm(sound, encoding), CHUNK_S * encoding.rate_hz * encoding.bytes_per_sample
    return [pcm[first : first + size] for first in range(0, len(pcm), size)]
