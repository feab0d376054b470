"""The thread on which a sync client does all that is async, for as long as it is open."""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import CancelledError
from contextlib import AbstractAsyncContextManager, AbstractContextManager, ExitStack, closing, contextmanager
from typing import Any, TypeVar, cast, overload

from anyio.from_thread import BlockingPortal, start_blocking_portal

from omnisdk.errors import ConnectionLost, OmniError

T = TypeVar("T")


class Portal:
    """What is called through it waits in the caller's thread. Raises ConnectionLost once the client is closed."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._thread_id = portal.call(threading.get_ident)
        self._inside: list[AbstractContextManager[Any]] = []  # entered and not left yet
        self.open: bool = True

    @overload
    def call(self, function: Callable[..., Awaitable[T]], *args: object) -> T: ...
    @overload
    def call(self, function: Callable[..., T], *args: object) -> T: ...
    def call(self, function: Callable[..., Any], *args: object) -> Any:
        """What the function gives on the client's thread, awaited there if it can be."""
        self._check()
        try:
            return self._portal.call(function, *args)
        except (RuntimeError, CancelledError):
            if self.open:
                raise
            raise self._closed() from None

    def wait(self, coroutine: Coroutine[object, object, T]) -> T:
        """What the coroutine gives."""
        try:
            self._check()
        except OmniError:
            coroutine.close()
            raise
        given: T = self.call(_awaited, coroutine)
        return given

    def iterate(self, events: AsyncGenerator[T, None]) -> Iterator[T]:
        """An async generator as a plain one."""
        end = object()

        async def step() -> object:
            return await anext(events, end)

        try:
            while (event := self.call(step)) is not end:
                yield cast(T, event)
        finally:
            if self.open:  # else its thread has closed it
                self.call(events.aclose)

    @contextmanager
    def entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """An async context manager as a plain one."""
        self._check()
        plain = self._portal.wrap_async_context_manager(manager)
        given = plain.__enter__()
        self._inside.append(plain)
        try:
            yield given
        except BaseException:
            if not self._left(plain) or not plain.__exit__(*sys.exc_info()):
                raise
        else:
            if self._left(plain):
                plain.__exit__(None, None, None)

    def close(self) -> None:
        """Leave what was entered and not left, the newest first, and take no more calls."""
        with ExitStack() as stack:
            for plain in self._inside:
                stack.push(plain)
            self._inside.clear()
        self.open = False

    def _left(self, plain: AbstractContextManager[Any]) -> bool:
        """Whether it was still to be left."""
        inside = plain in self._inside
        if inside:
            self._inside.remove(plain)
        return inside

    def _check(self) -> None:
        if not self.open:
            raise self._closed()
        if threading.get_ident() == self._thread_id:
            raise OmniError(
                "this would wait for itself: it is called on the client's own thread, from a hook or a tool; "
                "use the AsyncClient there, client.asynchronous"
            )

    def _closed(self) -> ConnectionLost:
        return ConnectionLost("the client of this was closed here; open a new one and ask again")


@contextmanager
def started() -> Iterator[Portal]:
    """A thread with an event loop of its own, for as long as the block."""
    with start_blocking_portal("asyncio") as running, closing(Portal(running)) as portal:
        yield portal


@contextmanager
def opened(client: AbstractAsyncContextManager[object]) -> Iterator[Portal]:
    """A thread with an event loop, on which the client is entered; it ends with the block."""
    with (
        start_blocking_portal("asyncio") as running,
        running.wrap_async_context_manager(client),
        closing(Portal(running)) as portal,
    ):
        yield portal


async def _awaited(coroutine: Coroutine[object, object, T]) -> T:
    return await coroutine
