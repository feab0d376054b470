"""API keys by name. What is kept of a key is its digest."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

DIGEST_PREFIX = "sha256:"  # before the digest in hexadecimal, where a file names it in the place of the key


@dataclass(frozen=True)
class Limits:
    """What one key may take: sessions at a time, the rest a minute; None for as much as it wants.

    requests: answers that are begun. tokens: read and written. bytes: of frames and bodies that come. pixels,
    audio_seconds: of the pictures and the speech that a model is given, each time it reads them. steps: denoise steps.
    """

    sessions: int | None = None
    requests: float | None = None
    tokens: float | None = None
    bytes: float | None = None
    pixels: float | None = None
    audio_seconds: float | None = None
    steps: float | None = None

    @property
    def a_minute(self) -> dict[str, float]:
        """Those that are limited by the minute."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "sessions"}
        return {name: limit for name, limit in found.items() if limit is not None}


NO_LIMITS = Limits()


@dataclass(frozen=True)
class Key:
    """name: whose it is, as logs and metrics may tell it. digest: SHA-256 of the key."""

    name: str
    digest: bytes = field(repr=False)
    limits: Limits = NO_LIMITS

    @classmethod
    def of(cls, text: str, name: str = "default", limits: Limits = NO_LIMITS) -> "Key":
        """text: the key, or its digest behind "sha256:". Raises ValueError for what is no digest there."""
        digest = bytes.fromhex(text.removeprefix(DIGEST_PREFIX)) if text.startswith(DIGEST_PREFIX) else digest_of(text)
        if len(digest) != hashlib.sha256().digest_size:
            raise ValueError(f"a digest of {len(digest)} bytes came; SHA-256 has 32, 64 hexadecimal digits")
        return cls(name, digest, limits)


def digest_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def key_shown(keys: Sequence[Key], shown: str) -> Key | None:
    """Which of the keys was shown. All are compared, in a time that tells nothing about any of them."""
    digest, found = digest_of(shown), None
    for key in keys:
        if hmac.compare_digest(digest, key.digest):
            found = key
    return found if shown else None
