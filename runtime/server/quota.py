"""How much a key has left, decided without a clock: `now` is always given, in seconds."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from runtime.server.keys import Limits

SECONDS = 60.0  # what limits are counted by
ROUNDING = 1e-9


@dataclass
class Bucket:
    """Fills up to `limit` within a minute. What a request takes is not known before, so that it may go below zero;
    nothing more is given out until that is paid back and there is one again."""

    limit: float
    level: float
    at: float

    def taken(self, now: float, amount: float) -> None:
        """amount: below zero to give back."""
        self._fill(now)
        self.level = min(self.limit, self.level - amount)

    def wait_s(self, now: float) -> float:
        """Until there is one again."""
        self._fill(now)
        lacking = min(1.0, self.limit) - self.level
        return lacking * SECONDS / self.limit if lacking > ROUNDING else 0.0

    def full_in_s(self, now: float) -> float:
        self._fill(now)
        return (self.limit - self.level) * SECONDS / self.limit

    def _fill(self, now: float) -> None:
        self.level = min(self.limit, self.level + max(0.0, now - self.at) * self.limit / SECONDS)
        self.at = max(self.at, now)


@dataclass(frozen=True)
class Left:
    """What is left of one limit, and when all of it is there again."""

    name: str
    limit: float
    remaining: float
    full_in_s: float


@dataclass(frozen=True)
class Exceeded:
    """The limit that makes wait longest."""

    name: str
    limit: float
    wait_s: int


class Quota:
    """The buckets of one key, full at the beginning."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._buckets = {name: Bucket(limit, limit, now) for name, limit in limits.a_minute.items()}

    def take(self, now: float, **amounts: float) -> None:
        """By names of `Limits`; those without a limit count nothing."""
        for name, amount in amounts.items():
            if name in self._buckets:
                self._buckets[name].taken(now, amount)

    def exceeded(self, now: float, names: Collection[str] = ()) -> Exceeded | None:
        """None while something is left of everything; of `names`, if there are any."""
        waits = {name: bucket.wait_s(now) for name, bucket in self._buckets.items() if name in (names or self._buckets)}
        name = max(waits, key=lambda name: waits[name], default=None)
        if name is None or not waits[name]:
            return None
        return Exceeded(name, self._buckets[name].limit, max(1, math.ceil(waits[name])))

    def left(self, now: float) -> list[Left]:
        return [
            Left(name, bucket.limit, max(0.0, bucket.level), full_in_s)
            for name, bucket in self._buckets.items()
            for full_in_s in (bucket.full_in_s(now),)
        ]
