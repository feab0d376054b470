"""A network that fails: TCP between a client and a server of the tests, to be cut, held up or closed by one half."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from queue import Queue
from urllib.parse import urlsplit


class CuttingProxy:
    """Its methods may be called from any thread. url: where to connect. num_connections: that were ever made."""

    def __init__(self, url: str) -> None:
        self._behind = urlsplit(url)
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._refusing = False
        self._lets_through: int | None = None  # bytes to clients, before all is cut
        self.num_connections = 0
        self.url = ""

    def cut(self) -> None:
        """Break all connections, with no goodbye: what is on its way is lost."""
        self._call(lambda: [writer.transport.abort() for writer in self._writers])

    def half_close(self) -> None:
        """Tell both ends that the other one sends no more."""
        self._call(lambda: [writer.write_eof() for writer in self._writers])

    def hold(self, held: bool = True) -> None:
        """Let nothing through, or go on."""
        self._call(self._flows.clear if held else self._flows.set)

    def cut_after(self, num_bytes: int) -> None:
        """Break all connections once so much more has gone to clients, and take no other for 50 ms."""
        self._lets_through = num_bytes

    def refuse(self, refused: bool = True) -> None:
        """Take no more connections, or take them again."""
        self._refusing = refused

    def _call(self, work: object) -> None:
        done = threading.Event()
        self._loop.call_soon_threadsafe(lambda: (work(), done.set()))  # type: ignore[operator]
        done.wait(5)

    def run(self, started: Queue[int]) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve(started))

    def stop(self) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _serve(self, started: Queue[int]) -> None:
        self._ended = asyncio.Event()
        self._flows.set()
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        started.put(server.sockets[0].getsockname()[1])
        await self._ended.wait()
        server.close()
        await asyncio.sleep(0)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        self.num_connections += 1
        behind_reader, behind_writer = await asyncio.open_connection(self._behind.hostname, self._behind.port)
        pair = {writer, behind_writer}
        self._writers |= pair
        await asyncio.gather(self._pump(reader, behind_writer), self._pump(behind_reader, writer, to_client=True))
        self._writers -= pair

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool = False
    ) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            while piece := await reader.read(65_536):
                await self._flows.wait()
                if to_client and self._is_enough(len(piece)):
                    return
                writer.write(piece)
                await writer.drain()
        writer.close()

    def _is_enough(self, num_bytes: int) -> bool:
        """Whether the connections were cut, since so much more went to clients."""
        if self._lets_through is None:
            return False
        self._lets_through -= num_bytes
        if self._lets_through > 0:
            return False
        self._lets_through, self._refusing = None, True
        asyncio.get_running_loop().call_later(0.05, self.refuse, False)
        for writer in self._writers:
            writer.transport.abort()
        return True


@contextlib.contextmanager
def cutting(url: str) -> Iterator[CuttingProxy]:
    """A proxy in front of the server at `url`."""
    proxy, started = CuttingProxy(url), Queue[int]()
    thread = threading.Thread(target=proxy.run, args=(started,), daemon=True)
    thread.start()
    proxy.url = f"ws://127.0.0.1:{started.get(timeout=10)}"
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(10)
