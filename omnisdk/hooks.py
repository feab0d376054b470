"""Functions run around a piece of work: before it, after it, around it, and when it fails."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from omnisdk.errors import OmniError

S = TypeVar("S")
R = TypeVar("R")
T = TypeVar("T")
Go = Callable[[S], Awaitable[R]]
Before = Callable[[S], Awaitable[S | None] | S | None]
After = Callable[[S, R], Awaitable[R | None] | R | None]
Wrap = Callable[[S, Go[S, R]], Awaitable[R]]
OnError = Callable[[S, Exception], Awaitable[R | None] | R | None]
B = TypeVar("B", bound=Callable[..., object])


class Stopped(OmniError):  # noqa: N818 - an end, not always an error
    """Raised by a hook to end what is being done; its text says why."""


class Moments(Generic[S, R]):
    """The moments of one kind of work, each a decorator. Functions may be async and run in the order they were added.

    before(subject): may give another subject. after(subject, result): may give another result. around(subject, go):
    awaits `go(subject)` when it likes, or does not. on_error(subject, error): may give a result in the error's place.
    What `before` and `after` raise ends the work and is no error of it: a guardrail raises Stopped.
    """

    def __init__(self) -> None:
        self._before: list[Before[S]] = []
        self._after: list[After[S, R]] = []
        self._around: list[Wrap[S, R]] = []
        self._on_error: list[OnError[S, R]] = []

    def before(self, function: Before[S]) -> Before[S]:
        self._before.append(function)
        return function

    def after(self, function: After[S, R]) -> After[S, R]:
        self._after.append(function)
        return function

    def around(self, function: Wrap[S, R]) -> Wrap[S, R]:
        self._around.append(function)
        return function

    def on_error(self, function: OnError[S, R]) -> OnError[S, R]:
        self._on_error.append(function)
        return function

    @property
    def checks_results(self) -> bool:
        """Whether a result may be changed or stopped after it is known."""
        return bool(self._after)

    async def run(self, subject: S, work: Go[S, R]) -> R:
        """`work(subject)` with everything that was added around it."""
        for before in self._before:
            changed = await awaited(before(subject))
            subject = subject if changed is None else changed
        result = await self._worked(subject, work)
        for after in self._after:
            other = await awaited(after(subject, result))
            result = result if other is None else other
        return result

    async def _worked(self, subject: S, work: Go[S, R]) -> R:
        for wrap in reversed(self._around):
            work = _wrapped(wrap, work)
        try:
            return await work(subject)
        except Stopped:
            raise
        except Exception as error:  # whatever the work raises, a hook may help
            for on_error in self._on_error:
                instead = await awaited(on_error(subject, error))
                if instead is not None:
                    return instead
            raise


def _wrapped(wrap: Wrap[S, R], work: Go[S, R]) -> Go[S, R]:
    async def go(subject: S) -> R:
        return await wrap(subject, work)

    return go


async def awaited(result: Awaitable[T] | T) -> T:
    """The result of a function that may be async."""
    return await result if inspect.isawaitable(result) else result
