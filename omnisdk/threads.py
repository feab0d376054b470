"""Functions that are not async, in threads that no program waits for when it ends."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """What it gives, run in a thread of its own; once cancelled, nobody hears of it any more.

    A thread cannot be stopped. One of a pool would keep a program from ending for as long as its function hangs.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            result = context.run(function)
        except StopIteration as error:  # no future can hold one
            tell(functools.partial(done.set_exception, RuntimeError(f"the function raised {error!r}")))
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            tell(functools.partial(done.set_exception, error))
        else:
            tell(functools.partial(done.set_result, result))

    def tell(end: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(lambda: None if done.done() else end())

    threading.Thread(target=run, name="omnisdk function", daemon=True).start()
    return await done


async def steps_in_thread(steps: Iterator[T]) -> AsyncGenerator[T, None]:
    """A generator each of whose steps is made in a thread."""
    end = object()
    while (step := await in_thread(functools.partial(next, steps, end))) is not end:
        yield step
