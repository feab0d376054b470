"""How long a session may last: all in all, and without being used. Times in seconds, of any clock that only goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Why = Literal["idle", "max_session"]
NOTICE_S = 30.0  # told so long before the end, or half of the time where that is less


@dataclass(frozen=True)
class Due:
    """What is to be done at a time: tell that the end is near, or end it."""

    at: float
    why: Why
    ends: bool
    ends_at: float


@dataclass
class Lifetime:
    """idle_s, max_s: None for no limit. began_at, used_at: when it began and was last used."""

    idle_s: float | None
    max_s: float | None
    began_at: float
    used_at: float = field(init=False)
    _told: set[tuple[Why, float]] = field(default_factory=set, init=False)  # that the end is near, and which

    def __post_init__(self) -> None:
        self.used_at = self.began_at

    def use(self, now: float) -> None:
        self.used_at = now

    def next(self) -> Due | None:
        """What is to be done next, None if there are no limits. Do it with `do` once its time has come."""
        due = [*self._due("idle", self.idle_s, self.used_at), *self._due("max_session", self.max_s, self.began_at)]
        return min(due, key=lambda one: (one.at, one.ends), default=None)

    def told(self, due: Due) -> None:
        """The client knows that this end is near."""
        self._told.add((due.why, due.ends_at))

    def _due(self, why: Why, limit_s: float | None, since: float) -> list[Due]:
        if limit_s is None:
            return []
        ends_at = since + limit_s
        end = Due(ends_at, why, True, ends_at)
        if (why, ends_at) in self._told:
            return [end]
        return [Due(ends_at - min(NOTICE_S, limit_s / 2), why, False, ends_at), end]
