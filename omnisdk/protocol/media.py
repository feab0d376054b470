"""Speech and pictures as they stand in events: base64 in, bytes out, with errors that say what came."""

from __future__ import annotations

import binascii
import re

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError
from omnisdk.protocol.items import InputAudio, InputImage
from omnisdk.protocol.limits import BYTES_PER_SAMPLE, BYTES_PER_SECOND

_DATA_URL = re.compile(r"data:(?P<mime>[^;,]*)(?P<base64>;base64)?,")


def pcm_of(part: InputAudio, path: str) -> bytes:
    """The samples of a speech part, 16-bit little endian. Raises ProtocolError if there are none or too few."""
    pcm = pcm_from_base64(part.audio or "", f"{path}.audio")
    if len(pcm) < BYTES_PER_SECOND * limits.MIN_SPEECH_MS // 1000:
        raise ProtocolError(
            f"{len(pcm) / BYTES_PER_SECOND * 1000:.0f} ms of audio came; a part takes at least {limits.MIN_SPEECH_MS} "
            "ms; send a longer recording",
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


def pcm_from_base64(audio: str, param: str) -> bytes:
    pcm = _from_base64(audio, param, errors.INVALID_VALUE)
    if not pcm:
        raise ProtocolError(
            "no audio came; send base64 of PCM16 at 24 kHz mono", code=errors.INVALID_VALUE, param=param
        )
    if len(pcm) % BYTES_PER_SAMPLE:
        raise ProtocolError(
            f"{len(pcm)} bytes of audio came, which ends in half a sample; PCM16 has {BYTES_PER_SAMPLE} bytes a "
            "sample; send whole samples",
            code=errors.INVALID_VALUE,
            param=param,
        )
    return pcm


def _from_base64(text: str, param: str, code: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as problem:  # binascii.Error is one; so are characters outside ASCII
        raise ProtocolError(
            f"this is not base64 ({str(problem).lower()}); encode the bytes as standard base64 with padding",
            code=code,
            param=param,
        ) from None
