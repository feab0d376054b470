"""One picture outside of any session: a request of the model, and the pictures it gives."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from omnisdk.protocol import errors
from omnisdk.protocol.errors import ProtocolError
from runtime.codecs.image import encode_png
from runtime.engine.engine import Engine
from runtime.engine.output import EngineOutput, Finished, StepOutput, Usage
from runtime.engine.request import GenerationRequest
from runtime.server.engine_bridge import EngineBridge
from runtime.server.failures import failure_of
from runtime.server.http_errors import not_made


@dataclass(frozen=True)
class Drawn:
    """A picture, finished or (index 0, 1, …) partial."""

    png: bytes
    index: int | None = None
    usage: Usage = field(default_factory=Usage)


class Drawing:
    """most_partials: so many partial pictures are told. To be closed, whatever comes of it once it has begun."""

    def __init__(self, engine: Engine, request: GenerationRequest, most_partials: int) -> None:
        self._bridge, self._request, self._most_partials = EngineBridge(engine), request, most_partials
        self._outputs: asyncio.Queue[EngineOutput] = asyncio.Queue()

    async def begin(self) -> None:
        """Until the model works at it. Raises ProtocolError where it is refused; it is closed then."""
        try:
            self._bridge.submit(self._request, self._outputs.put_nowait)
            first = await self._outputs.get()
            if isinstance(first, Finished):
                _picture_of(first)
            self._outputs.put_nowait(first)
        except BaseException:  # cancelled, too
            self.close()
            raise

    async def pictures(self) -> AsyncIterator[Drawn]:
        """The partial ones, and the finished one. Raises ProtocolError."""
        num_partials = 0
        try:
            while not isinstance(output := await self._outputs.get(), Finished):
                paint = _partial_of(output)
                if paint is not None and num_partials < self._most_partials:
                    yield Drawn(await asyncio.to_thread(lambda paint: encode_png(paint()), paint), num_partials)
                    num_partials += 1
            yield Drawn(await asyncio.to_thread(encode_png, _picture_of(output)), usage=output.usage)
        finally:
            self.close()

    async def finished(self) -> Drawn:
        """Raises ProtocolError."""
        return [drawn async for drawn in self.pictures()][-1]

    def close(self) -> None:
        self._bridge.close()


def _partial_of(output: EngineOutput) -> Callable[[], NDArray[np.uint8]] | None:
    slots = output.slots if isinstance(output, StepOutput) else ()
    return next((slot.paint for slot in slots if slot.paint is not None and not slot.complete), None)


def _picture_of(finished: Finished) -> NDArray[np.uint8]:
    """Raises ProtocolError."""
    picture = next((slot.image for slot in finished.slots if slot.image is not None), None)
    if finished.status == "completed" and picture is not None:
        return picture
    if finished.status == "cancelled":
        raise not_made(
            "the picture was cancelled because the server is stopping; ask again later", errors.SHUTTING_DOWN
        )
    kind, code = failure_of(finished)
    raise ProtocolError(finished.error or "the picture was not finished; ask again", code=code, kind=kind)
