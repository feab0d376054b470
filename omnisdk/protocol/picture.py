"""Pictures in events: their bytes in MessagePack, a data URL in JSON. Errors say what came."""

from __future__ import annotations

import base64
import binascii
import re

from omnisdk.protocol import errors, limits
from omnisdk.protocol.errors import ProtocolError

_DATA_URL = re.compile(r"data:(?P<mime>[^;,]*)(?P<base64>;base64)?,")
_MAGIC = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}


class Picture(bytes):
    """An encoded picture: PNG, JPEG or WebP."""

    @property
    def mime(self) -> str:
        return next((mime for magic, mime in _MAGIC.items() if self.startswith(magic)), "image/png")

    @property
    def data_url(self) -> str:
        return f"data:{self.mime};base64,{base64.b64encode(self).decode('ascii')}"


def picture_from_wire(wire: object) -> Picture:
    """The bytes themselves, or a data URL of an allowed type. Raises ProtocolError for anything else, without its
    path."""
    if isinstance(wire, bytes):
        _check_size(len(wire))
        return Picture(wire)
    url = wire if isinstance(wire, str) else ""
    head = _DATA_URL.match(url)
    mime = head["mime"] if head else None
    if head is None or not head["base64"] or mime not in limits.IMAGE_MIMES:
        came = f"{str(wire)[:40]!r}" if head is None else f"a data URL of {mime or 'no type'}"
        raise ProtocolError(
            f"{came} came; a picture is a data URL in base64 of {', '.join(limits.IMAGE_MIMES)}; "
            "send data:image/png;base64,…",
            code=errors.INVALID_IMAGE,
        )
    _check_size((len(url) - head.end()) * 3 // 4 - 3)
    return _from_base64(url[head.end() :])


def check_picture(picture: Picture | None, param: str) -> Picture:
    """Raises ProtocolError if there is none."""
    if not picture:
        raise ProtocolError(
            f"no picture came; send one of {', '.join(limits.IMAGE_MIMES)}, as data:image/png;base64,…",
            code=errors.INVALID_IMAGE,
            param=param,
        )
    return picture


def _check_size(num_bytes: int) -> None:
    if num_bytes > limits.MAX_IMAGE_BYTES:
        raise ProtocolError(
            f"a picture of {num_bytes / 2**20:.1f} MiB came; at most {limits.MAX_IMAGE_BYTES // 2**20} MiB are taken; "
            "scale it down or compress it more",
            code=errors.IMAGE_TOO_LARGE,
        )


def _from_base64(text: str) -> Picture:
    try:
        return Picture(binascii.a2b_base64(text, strict_mode=True))
    except ValueError as problem:  # binascii.Error is one; so are characters outside ASCII
        raise ProtocolError(
            f"this is not base64 ({str(problem).lower()}); encode the bytes as standard base64 with padding",
            code=errors.INVALID_IMAGE,
        ) from None
