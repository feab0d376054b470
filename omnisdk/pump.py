"""A microphone that is read all the time, whichever session takes what it gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable

from omnisdk.audio_file import Pcm
from omnisdk.media import Speech

MAX_WAITING_CHUNKS = 50  # of sound, while one agent hands over to another
Sound = bytes | Pcm | Speech


class Pump:
    """Reads a microphone. overhear: is given all of it as it is read, before anybody takes it; set by who listens."""

    def __init__(self, microphone: AsyncIterable[Sound] | Speech) -> None:
        self._microphone = _alone(microphone) if isinstance(microphone, Speech) else microphone
        self._queue: asyncio.Queue[Sound | None] = asyncio.Queue(MAX_WAITING_CHUNKS)
        self._task = asyncio.create_task(self._read())
        self.overhear: Callable[[Sound], None] | None = None

    async def next(self) -> Sound | None:
        """The next of it, None at the end. Raises what the microphone raises."""
        chunk = await self._queue.get()
        if chunk is None:
            self._queue.put_nowait(None)
            await self._task
        return chunk

    async def close(self) -> None:
        while not self._queue.empty():  # nobody takes it, and the end needs room
            self._queue.get_nowait()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        try:
            async for chunk in self._microphone:
                if self.overhear is not None:
                    self.overhear(chunk)
                await self._queue.put(chunk)
        finally:
            if isinstance(self._microphone, AsyncGenerator):
                await self._microphone.aclose()
            await self._queue.put(None)


async def _alone(speech: Speech) -> AsyncGenerator[Speech, None]:
    yield speech
