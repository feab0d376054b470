"""How a connection that was lost is made again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

# Closes after which another connection may go better; the others say that it will not.
MAY_COME_BACK = (1001, 1005, 1006, 1011, 1012, 1013, 1015)


@dataclass(frozen=True)
class Reconnect:
    """Tries of a session to go on over another connection, with pauses that double and vary by half.

    With the defaults it gives up after about 12 s.
    """

    attempts: int = 7
    first_pause_s: float = 0.2
    longest_pause_s: float = 4.0

    def pauses_s(self) -> Iterator[float]:
        """One before each try."""
        for attempt in range(self.attempts):
            pause_s = min(self.longest_pause_s, self.first_pause_s * 2**attempt)
            yield pause_s * random.uniform(0.5, 1.0)


@dataclass(frozen=True)
class Lost:
    """Why a connection ended, and whether another one may go better. cause: a fault of ours, or of a listener."""

    why: str
    may_come_back: bool
    cause: Exception | None = None


def waiting_url(url: str) -> str:
    """Where the server waits for the first event and begins no session by itself."""
    parts = urlsplit(url)
    query = urlencode({**dict(parse_qsl(parts.query, keep_blank_values=True)), "autostart": "0"})
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, parts.fragment))
