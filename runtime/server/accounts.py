"""On whose account something is done: a key's sessions and quota, and the engine that counts for it."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from omnisdk.protocol import errors, events
from omnisdk.protocol.errors import ProtocolError
from runtime.engine.engine import Engine
from runtime.engine.output import EngineOutput, Finished, Usage
from runtime.engine.request import GenerationRequest, ImagePart, Part, SpeechPart
from runtime.server.keys import Key, Limits
from runtime.server.quota import Quota
from runtime.server.watched_engine import See, WatchedEngine

SESSION_WAIT_S = 5  # when to ask again for a session; nobody knows when one is closed
OPENAI_NAMES = ("requests", "tokens")  # of limits, that clients of others know


class RateLimitError(ProtocolError):
    """Too much was asked for; something is left again after `wait_s` seconds."""

    def __init__(self, message: str, wait_s: int) -> None:
        super().__init__(message, code=errors.RATE_LIMIT_EXCEEDED, kind=errors.RATE_LIMIT)
        self.wait_s = wait_s


class Account:
    """What one key has open and has left.

    engine: counts what is asked of it: what a request is given and all the steps it may run when it is submitted; the
    steps it did not run, and its tokens, when it ends. clock: seconds that only grow.
    """

    def __init__(self, name: str, limits: Limits, engine: Engine, clock: Callable[[], float]) -> None:
        self.name, self.limits = name, limits
        self.num_sessions = 0
        self._clock = clock
        self._quota = Quota(limits, clock())
        self._lock = threading.Lock()  # the engine's thread counts too
        self.engine: Engine = WatchedEngine(engine, self._count)

    def check_sessions(self) -> None:
        """Whether one more may be opened. Raises RateLimitError."""
        most = self.limits.sessions
        if most is not None and self.num_sessions >= most:
            raise RateLimitError(
                f"{self.num_sessions} sessions of this key are open, the most it may have; close one", 5
            )

    def check(self, *names: str) -> None:
        """Whether it may ask for more; `names`: as far as these limits go. Raises RateLimitError."""
        with self._lock:
            over = self._quota.exceeded(self._clock(), names)
        if over is not None:
            named = over.name.replace("_", " ")
            raise RateLimitError(
                f"the {over.limit:g} {named} a minute of this key are used up; try again in {over.wait_s} s",
                over.wait_s,
            )

    def take(self, **amounts: float) -> None:
        """By names of `Limits`."""
        with self._lock:
            self._quota.take(self._clock(), **amounts)

    def told(self) -> events.RateLimitsUpdated | None:
        """What is left, if there are limits."""
        with self._lock:
            left = self._quota.left(self._clock())
        if not left:
            return None
        limits = [
            events.RateLimit(
                name=one.name, limit=int(one.limit), remaining=int(one.remaining), reset_seconds=round(one.full_in_s, 3)
            )
            for one in left
        ]
        known = [limit for limit in limits if limit.name in OPENAI_NAMES]
        ours = [limit for limit in limits if limit.name not in OPENAI_NAMES]
        return events.RateLimitsUpdated(rate_limits=known, omni=events.RateLimitsOmni(rate_limits=ours))

    def _count(self, _: str, request: GenerationRequest | None) -> See:
        paid_steps = 0 if request is None else request.recipe.steps
        parts = [] if request is None else [part for turn in request.turns for part in turn.parts]
        self.take(requests=1, steps=paid_steps, pixels=num_pixels(parts), audio_seconds=num_seconds(parts))

        def see(output: EngineOutput) -> None:
            if isinstance(output, Finished):
                self.take(steps=output.usage.steps - paid_steps, tokens=num_tokens(output.usage))

        return see


class Accounts:
    """One for each key, and one for everybody where there are no keys."""

    def __init__(
        self, engine: Engine, keys: Sequence[Key], limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.everybody = Account("everybody", limits, engine, clock)
        self._by_name = {key.name: Account(key.name, key.limits, engine, clock) for key in keys}

    def named(self, name: str) -> Account:
        return self._by_name.get(name, self.everybody)


def num_pixels(parts: Iterable[Part]) -> int:
    return sum(part.pixels.shape[0] * part.pixels.shape[1] for part in parts if isinstance(part, ImagePart))


def num_seconds(parts: Iterable[Part]) -> float:
    return sum(len(part.pcm) / part.sample_rate_hz for part in parts if isinstance(part, SpeechPart))


def num_tokens(usage: Usage) -> int:
    read = usage.input_text + usage.input_speech + usage.input_image
    return read + usage.output_text + usage.output_speech + usage.output_image
