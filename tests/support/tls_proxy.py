"""TLS in front of a server of the tests, as a proxy ends it in the world."""

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from urllib.parse import urlsplit

import trustme


@contextlib.contextmanager
def behind_tls(url: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The https:// address of a proxy to `url`, and the file of the authority that vouches for it."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "authority.pem")
    started: Queue[tuple[int, Callable[[], None]]] = Queue()
    thread = threading.Thread(target=lambda: asyncio.run(_proxy(url, context, started)), daemon=True)
    thread.start()
    port, stop = started.get(timeout=10)
    try:
        yield f"https://127.0.0.1:{port}", folder / "authority.pem"
    finally:
        stop()
        thread.join(10)


async def _proxy(url: str, context: ssl.SSLContext, started: Queue[tuple[int, Callable[[], None]]]) -> None:
    address, ended, loop = urlsplit(url), asyncio.Event(), asyncio.get_running_loop()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(address.hostname, address.port)
        await asyncio.gather(_pump(reader, behind_writer), _pump(behind_reader, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0, ssl=context)
    started.put((server.sockets[0].getsockname()[1], lambda: loop.call_soon_threadsafe(ended.set)))
    await ended.wait()
    server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()
