"""How a server is run."""

from dataclasses import dataclass

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ServerSettings:
    """api_key: what clients must show; None lets everyone in who reaches the port.

    allowed_hosts: names this server may be called by, "*" for any; keeps other sites' names from being pointed here.
    allowed_origins: pages of other servers that may connect, as "https://example.org"; its own pages always may.
    max_sessions: sockets at a time. max_unsent_events: beyond these a client that does not read is cut off.
    """

    api_key: str | None = None
    allowed_hosts: tuple[str, ...] = LOOPBACK_HOSTS
    allowed_origins: tuple[str, ...] = ()
    max_sessions: int = 64
    max_unsent_events: int = 1024
    max_asset_bytes: int = 128 * 1024 * 1024
