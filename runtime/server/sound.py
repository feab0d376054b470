"""The engine's sound as it goes over the wire: in the encoding the client wants, in pieces."""

from dataclasses import replace

import numpy as np
import torch

from omnisdk.protocol.audio import PCM, Encoding
from runtime.codecs.speech import resample
from runtime.codecs.tempo import Tempo
from runtime.engine.output import Sound

CHUNK_S = 2  # 128 KiB in base64 at most, far below what any client takes


def wire_pcm(sound: Sound, encoding: Encoding = PCM) -> bytes:
    samples = resample(torch.from_numpy(sound.pcm.astype(np.float32)), sound.sample_rate_hz, encoding.rate_hz)
    return encoding.wire_bytes(samples.round().clamp(-32768, 32767).numpy().astype(np.int16))


def wire_chunks(sound: Sound, encoding: Encoding = PCM) -> list[bytes]:
    """`wire_pcm` in pieces of whole samples."""
    pcm, size = wire_pcm(sound, encoding), CHUNK_S * encoding.rate_hz * encoding.bytes_per_sample
    return [pcm[first : first + size] for first in range(0, len(pcm), size)]


class Pace:
    """Sound as fast as it is wanted, stretch by stretch. speed: 1 leaves it as it is."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._tempo: Tempo | None = None
        self._rate_hz = 0

    def push(self, sound: Sound | None) -> Sound | None:
        if sound is None or self._speed == 1.0:
            return sound
        if self._tempo is None:
            self._tempo, self._rate_hz = Tempo(self._speed, sound.sample_rate_hz), sound.sample_rate_hz
        return replace(sound, pcm=self._tempo.push(sound.pcm))

    def end(self) -> Sound | None:
        """What is left of it."""
        return None if self._tempo is None else Sound(self._tempo.end(), self._rate_hz)
