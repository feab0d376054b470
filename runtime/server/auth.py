"""Who may come in, decided from the headers before a socket is opened."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from runtime.server.settings import ServerSettings

KEY_SUBPROTOCOL = "openai-insecure-api-key."  # how browsers, which cannot set headers, send the key


@dataclass(frozen=True)
class Refusal:
    """An HTTP status and what to do about it."""

    status: int
    code: str
    message: str


def refusal(
    settings: ServerSettings, headers: Mapping[str, str], subprotocols: Sequence[str] = (), *, let_in: bool = False
) -> Refusal | None:
    """Why a request may not come in, None if it may. Headers by lower-case name. let_in: it showed another good key."""
    host = headers.get("host", "")
    if "*" not in settings.allowed_hosts and _hostname(host) not in settings.allowed_hosts:
        allowed = ", ".join(settings.allowed_hosts)
        return Refusal(403, "host_not_allowed", f"host {host!r} is not served here; use one of {allowed}")
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host and origin not in settings.allowed_origins:
        return Refusal(
            403, "origin_not_allowed", f"pages of {origin!r} may not connect; add it to the server's allowed_origins"
        )
    if settings.api_key is not None and not let_in and not _same(shown_key(headers, subprotocols), settings.api_key):
        return Refusal(
            401, "invalid_api_key", "the API key is missing or wrong; send the header Authorization: Bearer <key>"
        )
    return None


def shown_key(headers: Mapping[str, str], subprotocols: Sequence[str]) -> str:
    """The key a request shows, empty if none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    shown = (token.removeprefix(KEY_SUBPROTOCOL) for token in subprotocols if token.startswith(KEY_SUBPROTOCOL))
    return next(shown, "")


def _same(shown: str, key: str) -> bool:
    return hmac.compare_digest(shown.encode(), key.encode())


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
