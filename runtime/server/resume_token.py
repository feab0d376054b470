"""The secret with which a lost session is found again: never kept as it is, and good for one key alone."""

import hashlib
import hmac
import secrets

TOKEN_BYTES = 32


class ResumeToken:
    """Changes each time it is used. The one before stays good until its successor is known to have come.

    owner: the name of the API key that the session was begun with.
    """

    def __init__(self, owner: str) -> None:
        self._owner = _digest(owner)
        self._current = b""
        self._before: bytes | None = None

    def renew(self) -> str:
        """A new token, to be told to the client."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._before, self._current = self._before or self._current or None, _digest(token)
        return token

    def confirm(self) -> None:
        """The client has the newest."""
        self._before = None

    def accepts(self, token: str, owner: str) -> bool:
        shown = _digest(token)
        same_owner = hmac.compare_digest(_digest(owner), self._owner)
        current = hmac.compare_digest(shown, self._current)
        before = hmac.compare_digest(shown, self._before or self._current)
        return same_owner and (current or before)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
