"""Where media come from and where they are shown: files, URLs and data URLs in, a notebook out."""

from __future__ import annotations

import base64
import binascii
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from omnisdk.errors import MediaError

MAX_FILE_BYTES: Final = 512 * 1024 * 1024


def read_source(source: str | os.PathLike[str] | bytes | bytearray, kind: str) -> tuple[bytes, str]:
    """The bytes of a path, URL, data URL or bytes, and a name for errors."""
    if isinstance(source, bytes | bytearray):
        return bytes(source), f"the {kind}"
    text = os.fspath(source)
    if text.startswith(("http://", "https://")):
        return _download(text, kind), text
    if text.startswith("data:"):
        return _data_url_bytes(text, kind), f"the {kind} of the data URL"
    return _read_file(Path(text), kind), text


def _read_file(path: Path, kind: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise MediaError(f"{path} has {size} bytes; a {kind} file may have {MAX_FILE_BYTES}; cut it first")
        return path.read_bytes()
    except FileNotFoundError:
        raise MediaError(f"there is no file {path}; give the path of a {kind} file") from None
    except OSError as error:
        raise MediaError(f"{path} cannot be read ({error.strerror}); give a readable {kind} file") from None


def _data_url_bytes(url: str, kind: str) -> bytes:
    header, _, payload = url.partition(",")
    try:
        return base64.b64decode(payload, validate=True) if header.endswith(";base64") else payload.encode()
    except binascii.Error as error:
        raise MediaError(f"the {kind} data URL holds no valid base64 ({error}); encode the file's bytes") from None


def _download(url: str, kind: str) -> bytes:
    import httpx

    pieces: list[bytes] = []
    received = 0
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=30.0) as answer:
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                pieces.append(piece)
                received += len(piece)
                if received > MAX_FILE_BYTES:
                    raise MediaError(f"{url} has more than {MAX_FILE_BYTES} bytes; a {kind} file may not; cut it first")
    except httpx.HTTPStatusError as error:
        code = error.response.status_code
        raise MediaError(f"{url} answered HTTP {code}; give a URL that answers 200 with a {kind} file") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise MediaError(f"{url} could not be fetched ({error}); check the address and the network") from None
    return b"".join(pieces)


def is_between(value: object, least: float, most: float) -> bool:
    """Whether it is a number, and one of these."""
    return isinstance(value, int | float) and least <= value <= most


def path_of(path: object) -> Path:
    """Raises MediaError for what is no path."""
    if not isinstance(path, str | os.PathLike):
        raise MediaError(f"{path!r} is no path; give one as text or pathlib.Path")
    return Path(path)


def written(path: object, write: Callable[[Path], object]) -> Path:
    """The path, once `write` has written there. Raises MediaError."""
    target = path_of(path)
    try:
        write(target)
    except OSError as error:
        raise MediaError(f"{target} cannot be written ({error.strerror or error}); choose another place") from None
    return target


def shown_in_notebook(media: object) -> bool:
    """True if a notebook is running and has shown it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return False
    from IPython.display import display

    display(media)
    return True
