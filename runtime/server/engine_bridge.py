"""Where the event loop and the engine's thread meet, and nowhere else."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from runtime.engine.changes import Change
from runtime.engine.engine import Engine, Reply, Told
from runtime.engine.output import EngineOutput, Finished
from runtime.engine.request import GenerationRequest

Take = Callable[[EngineOutput], None]


class EngineBridge:
    """One session's way to the engine. Made on the event loop; outputs are taken there."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._takers: dict[str, Take] = {}
        self._painting: set[asyncio.Task[None]] = set()

    def submit(self, request: GenerationRequest, take: Take) -> None:
        """Begin a request; `take` is called on the event loop for each output until Finished."""
        self._takers[request.request_id] = take
        self._engine.submit(request, self._on_engine_thread)

    async def ask(self, request: GenerationRequest) -> Finished:
        """Begin a request and wait for its end."""
        ended: asyncio.Future[Finished] = self._loop.create_future()

        def take(output: EngineOutput) -> None:
            if isinstance(output, Finished) and not ended.done():
                ended.set_result(output)

        self.submit(request, take)
        return await ended

    def cancel(self, request_id: str) -> None:
        self._engine.cancel(request_id)

    def finalize(self, request_id: str) -> None:
        self._engine.finalize(request_id)

    def change(self, request_id: str, change: Change, told: Told) -> None:
        """`told` is called on the event loop when the change is made, or why it was not."""
        self._engine.change(request_id, change, self._on_loop(told))

    def fork(self, request_id: str, new_id: str, seed: int, take: Take, at_step: int | None = None) -> None:
        """Go on with `request_id` twice; `take` gets the outputs of the second, as in `submit`."""
        self._takers[new_id] = take
        self._engine.fork(request_id, new_id, seed, self._on_engine_thread, at_step)

    def forget(self, request_id: str) -> None:
        self._engine.forget(request_id)

    def _on_loop(self, told: Told) -> Told:
        def tell(reply: Reply) -> None:
            with suppress(RuntimeError):  # the loop was closed: nobody is left to be told
                self._loop.call_soon_threadsafe(told, reply)

        return tell

    def abandon(self, request_id: str) -> None:
        """Cancel, and take nothing more of it."""
        self._takers.pop(request_id, None)
        self._engine.cancel(request_id)

    def close(self) -> None:
        """Abandon whatever is still running."""
        for request_id in list(self._takers):
            self.abandon(request_id)

    def _on_engine_thread(self, output: EngineOutput) -> None:
        try:
            self._loop.call_soon_threadsafe(self._take, output)
        except RuntimeError:  # the loop was closed: nobody is left to take it
            self._engine.cancel(output.request_id)

    def _take(self, output: EngineOutput) -> None:
        if not isinstance(output, Finished):
            self._deliver(output)
            return
        # Pictures are made before the end is told: by a thread, so that neither the loop nor a step waits for them.
        painting = self._loop.create_task(self._paint(output))
        self._painting.add(painting)
        painting.add_done_callback(self._painting.discard)

    async def _paint(self, finished: Finished) -> None:
        self._deliver(await asyncio.to_thread(finished.painted) if finished.request_id in self._takers else finished)

    def _deliver(self, output: EngineOutput) -> None:
        take = self._takers.get(output.request_id)
        if isinstance(output, Finished):
            self._takers.pop(output.request_id, None)
        if take is not None:
            take(output)
