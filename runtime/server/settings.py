"""How a server is run."""

from dataclasses import dataclass

from runtime.server.keys import NO_LIMITS, Key, Limits

LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ServerSettings:
    """keys: of which clients must show one; without any, everyone comes in who reaches the port.

    limits: what everyone may take together, where there are no keys; else each key has its own.
    allowed_hosts: names this server may be called by, "*" for any; keeps other sites' names from being pointed here.
    allowed_origins: pages of other servers that may connect, as "https://example.org"; its own pages always may.
    max_sessions: sockets at a time. max_unsent_events: beyond these a client that does not read is cut off.
    resume_window_s: how long a session with the extension waits for another socket when its own was lost; 0 for not
    at all. max_journal_bytes: of events sent to such a session and not acknowledged. idle_timeout_s, max_session_s:
    after which a session is closed that is not used, or in any case. drain_s: how long answers may go on that are being
    made when the server is stopped.
    """

    keys: tuple[Key, ...] = ()
    limits: Limits = NO_LIMITS
    allowed_hosts: tuple[str, ...] = LOOPBACK_HOSTS
    allowed_origins: tuple[str, ...] = ()
    max_sessions: int = 64
    max_unsent_events: int = 1024
    max_asset_bytes: int = 128 * 1024 * 1024
    resume_window_s: float = 60.0
    max_journal_bytes: int = 4 * 1024 * 1024
    idle_timeout_s: float | None = None
    max_session_s: float | None = None
    drain_s: float = 10.0
