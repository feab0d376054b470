"""How sound stands on the wire: PCM16 at 24 kHz, or G.711 at 8 kHz as telephones send it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.limits import BYTES_PER_SAMPLE, TELEPHONE_SAMPLE_RATE_HZ, WIRE_SAMPLE_RATE_HZ
from omnisdk.protocol.settings import AudioFormat


@dataclass(frozen=True)
class Encoding:
    """samples: bytes of the wire -> (samples,) int16; wire_bytes: the way back.

    bytes_per_sample: on the wire.
    """

    name: str
    rate_hz: int
    bytes_per_sample: int
    samples: Callable[[bytes], NDArray[np.int16]]
    wire_bytes: Callable[[NDArray[np.int16]], bytes]

    @property
    def told(self) -> str:
        """As an error names it."""
        return f"{self.name} at {self.rate_hz} Hz"

    @property
    def format(self) -> AudioFormat:
        """As settings name it."""
        return AudioFormat(type=self.name, rate=self.rate_hz) if self is PCM else AudioFormat(type=self.name)


# G.711 (ITU-T, 1988) as tables: a byte is a sign, an exponent and four bits of mantissa, all or some bits inverted.


@cache
def _mu_law() -> NDArray[np.int16]:
    """(256,) samples of the bytes of µ-law."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


@cache
def _a_law() -> NDArray[np.int16]:
    """(256,) samples of the bytes of A-law."""
    code = np.arange(256, dtype=np.int32) ^ 0x55
    exponent, size = code >> 4 & 7, ((code & 0x0F) << 4) + 8
    size = np.where(exponent > 0, size + 0x100 << np.maximum(exponent - 1, 0), size)
    return np.where(code & 0x80, size, -size).astype(np.int16)


@cache
def _nearest(table: Callable[[], NDArray[np.int16]]) -> NDArray[np.uint8]:
    """(65536,) the byte whose sample is nearest, by sample + 32768."""
    samples = table().astype(np.int32)
    order = np.argsort(samples, kind="stable")
    between = (samples[order][1:] + samples[order][:-1]) / 2
    return order[np.searchsorted(between, np.arange(-32768, 32768))].astype(np.uint8)


def _companded(name: str, table: Callable[[], NDArray[np.int16]]) -> Encoding:
    def samples(wire: bytes) -> NDArray[np.int16]:
        return table()[np.frombuffer(wire, np.uint8)]

    def wire_bytes(pcm: NDArray[np.int16]) -> bytes:
        return _nearest(table)[pcm.astype(np.int32) + 32768].tobytes()

    return Encoding(name, TELEPHONE_SAMPLE_RATE_HZ, 1, samples, wire_bytes)


PCM = Encoding(
    "audio/pcm",
    WIRE_SAMPLE_RATE_HZ,
    BYTES_PER_SAMPLE,
    lambda wire: np.frombuffer(wire, "<i2").astype(np.int16),
    lambda pcm: pcm.astype("<i2").tobytes(),
)
MU_LAW = _companded("audio/pcmu", _mu_law)
A_LAW = _companded("audio/pcma", _a_law)
ENCODINGS = {encoding.name: encoding for encoding in (PCM, MU_LAW, A_LAW)}


def encoding_of(wanted: AudioFormat, param: str) -> Encoding:
    """Raises ProtocolError for a format or a rate that is not among ours."""
    encoding = ENCODINGS.get(wanted.type)
    if encoding is not None and wanted.rate in (encoding.rate_hz, AudioFormat(type="").rate):
        return encoding
    rate = f" at {wanted.rate} Hz" if isinstance(wanted.rate, int) else ""
    raise ProtocolError(
        f"audio format {wanted.type[:80]!r}{rate} is not supported; send "
        + " or ".join(known.told for known in ENCODINGS.values()),
        code=errors.UNSUPPORTED_VALUE,
        param=param,
    )


def pcm_of(audio: bytes | None, param: str, encoding: Encoding = PCM) -> NDArray[np.int16]:
    """(samples,) int16 at the encoding's rate. Raises ProtocolError if there are none, or half of one."""
    if not audio:
        raise ProtocolError(f"no audio came; send {encoding.told}, mono", code=errors.INVALID_VALUE, param=param)
    if len(audio) % encoding.bytes_per_sample:
        raise ProtocolError(
            f"{len(audio)} bytes of audio came, which ends in half a sample; {encoding.told} has "
            f"{encoding.bytes_per_sample} bytes a sample; send whole samples",
            code=errors.INVALID_VALUE,
            param=param,
        )
    return encoding.samples(audio)


def speech_of(audio: bytes | None, param: str, encoding: Encoding = PCM) -> NDArray[np.int16]:
    """As `pcm_of`, of a part that stands alone: too little is an error as well."""
    pcm = pcm_of(audio, param, encoding)
    duration_ms = len(pcm) / encoding.rate_hz * 1000
    if duration_ms < limits.MIN_SPEECH_MS:
        raise ProtocolError(
            f"{duration_ms:.0f} ms of audio came; a part takes at least {limits.MIN_SPEECH_MS} ms; "
            "send a longer recording",
            code=errors.INVALID_VALUE,
            param=param,
        )
    return pcm
