"""Speech and pictures as they stand in events: base64 in, bytes out, with errors that say what came."""

from __future__ import annotations

import binascii
import re

import numpy as np
from numpy.typing import NDArray

from omnisdk.protocol import errors, limits
from omnisdk.protocol.audio import PCM, Encoding
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputAudio, InputImage

_DATA_URL = re.compile(r"data:(?P<mime>[^;,]*)(?P<base64>;base64)?,")


def pcm_of(part: InputAudio, path: str, encoding: Encoding = PCM) -> NDArray[np.int16]:
    """(samples,) int16 of a speech part. Raises ProtocolError if there are none or too few."""
    pcm = pcm_from_base64(part.audio or "", f"{path}.audio", encoding)
    duration_ms = len(pcm) / encoding.rate_hz * 1000
    if duration_ms < limits.MIN_SPEECH_MS:
        raise ProtocolError(
            f"{duration_ms:.0f} ms of audio came; a part takes at least {limits.MIN_SPEECH_MS} ms; "
            "send a longer recording",
            code=errors.INVALID_VALUE,
            param=f"{path}.audio",
        )
    return pcm


def image_bytes_of(part: InputImage, path: str) -> bytes:
    """The encoded picture of an image part. Raises ProtocolError for anything but base64 of an allowed type."""
    param, url = f"{path}.image_url", part.image_url or ""
    head = _DATA_URL.match(url)
    mime = head["mime"] if head else None
    if head is None or not head["base64"] or mime not in limits.IMAGE_MIMES:
        came = f"{url[:40]!r}" if head is None else f"a data URL of {mime or 'no type'}"
        raise ProtocolError(
            f"{came} came; a picture is a data URL in base64 of {', '.join(limits.IMAGE_MIMES)}; "
            "send data:image/png;base64,…",
            code=errors.INVALID_IMAGE,
            param=param,
        )
    size = (len(url) - head.end()) * 3 // 4
    if size > limits.MAX_IMAGE_BYTES + 3:
        raise ProtocolError(
            f"a picture of {size / 2**20:.1f} MiB came; at most {limits.MAX_IMAGE_BYTES // 2**20} MiB are taken; "
            "scale it down or compress it more",
            code=errors.IMAGE_TOO_LARGE,
            param=param,
        )
    return _from_base64(url[head.end() :], param, errors.INVALID_IMAGE)


def pcm_from_base64(audio: str, param: str, encoding: Encoding = PCM) -> NDArray[np.int16]:
    """(samples,) int16 at the encoding's rate."""
    wire = _from_base64(audio, param, errors.INVALID_VALUE)
    if not wire:
        raise ProtocolError(
            f"no audio came; send base64 of {encoding.told}, mono", code=errors.INVALID_VALUE, param=param
        )
    if len(wire) % encoding.bytes_per_sample:
        raise ProtocolError(
            f"{len(wire)} bytes of audio came, which ends in half a sample; {encoding.told} has "
            f"{encoding.bytes_per_sample} bytes a sample; send whole samples",
            code=errors.INVALID_VALUE,
            param=param,
        )
    return encoding.samples(wire)


def _from_base64(text: str, param: str, code: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as problem:  # binascii.Error is one; so are characters outside ASCII
        raise ProtocolError(
            f"this is not base64 ({str(problem).lower()}); encode the bytes as standard base64 with padding",
            code=code,
            param=param,
        ) from None
