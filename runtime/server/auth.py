"""Who may come in, decided from the headers before a socket is opened or a body read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omnisdk.protocol.settings import SessionSettings
from runtime.server.accounts import Account, Accounts
from runtime.server.client_secrets import ClientSecrets
from runtime.server.keys import key_shown
from runtime.server.settings import ServerSettings

KEY_SUBPROTOCOL = "openai-insecure-api-key."  # how browsers, which cannot set headers, send the key
DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>\d{1,5}))?", re.IGNORECASE)
Headers = Mapping[str, str]


@dataclass(frozen=True)
class Refusal:
    """An HTTP status and what to do about it."""

    status: int
    code: str
    message: str


@dataclass(frozen=True)
class Admitted:
    """account: on which all that is asked goes. settings: what a session begins with, if an ephemeral key says so."""

    account: Account
    settings: SessionSettings | None = None


class Door:
    """Decides about every request. `Headers` by lower-case name."""

    def __init__(self, settings: ServerSettings, accounts: Accounts, secrets: ClientSecrets) -> None:
        self._settings, self._accounts, self._secrets = settings, accounts, secrets

    def admit(self, headers: Headers) -> Admitted | Refusal:
        """Of a plain request."""
        return site_refusal(self._settings, headers) or self._by_key(shown_key(headers, ()))

    def admit_socket(self, headers: Headers, subprotocols: Sequence[str]) -> Admitted | Refusal:
        """Of a session, which an ephemeral key opens too."""
        refused = site_refusal(self._settings, headers)
        if refused is not None:
            return refused
        shown = shown_key(headers, subprotocols)
        bound = self._secrets.found(shown)
        if bound is not None:
            return Admitted(self._accounts.named(bound.owner), bound.settings)
        return self._by_key(shown)

    def _by_key(self, shown: str) -> Admitted | Refusal:
        if not self._settings.keys:
            return Admitted(self._accounts.everybody)
        key = key_shown(self._settings.keys, shown)
        if key is not None:
            return Admitted(self._accounts.named(key.name))
        return Refusal(
            401, "invalid_api_key", "the API key is missing or wrong; send the header Authorization: Bearer <key>"
        )


def site_refusal(settings: ServerSettings, headers: Headers) -> Refusal | None:
    """Why the server may not be asked for by this name, or not from that page. Pages send an Origin, programs none."""
    host = headers.get("host", "")
    name = _host(host)[0]
    if "*" not in settings.allowed_hosts and name not in {allowed.lower() for allowed in settings.allowed_hosts}:
        allowed = ", ".join(settings.allowed_hosts)
        return Refusal(403, "host_not_allowed", f"host {host[:80]!r} is not served here; use one of {allowed}")
    origin = headers.get("origin")
    if origin is None or _may_connect(origin, host, settings.allowed_origins):
        return None
    return Refusal(
        403, "origin_not_allowed", f"pages of {origin[:80]!r} may not connect; add it to the server's allowed_origins"
    )


def _may_connect(origin: str, host: str, allowed: Sequence[str]) -> bool:
    """Whether a page is the server's own, or one of an allowed origin: scheme, name and port are the same."""
    came = _origin(origin)
    if came is None:
        return False
    scheme, name, port = came
    own = _host(host)
    return (name, port) == (own[0], own[1] or DEFAULT_PORTS[scheme]) or came in map(_origin, allowed)


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, name and port of an origin; None for what is none, such as "null"."""
    scheme, _, place = text.lower().partition("://")
    name, port = _host(place)
    return (scheme, name, port or DEFAULT_PORTS[scheme]) if scheme in DEFAULT_PORTS and name else None


def _host(text: str) -> tuple[str, int | None]:
    """Name and port of what must be a host and nothing besides; no name otherwise."""
    found = _HOST.fullmatch(text)
    if found is None:
        return "", None
    return found["name"].lower().strip("[]"), int(found["port"]) if found["port"] else None


def shown_key(headers: Headers, subprotocols: Sequence[str]) -> str:
    """The key a request shows, empty if none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    shown = (token.removeprefix(KEY_SUBPROTOCOL) for token in subprotocols if token.startswith(KEY_SUBPROTOCOL))
    return next(shown, "")
