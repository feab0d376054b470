"""Running the application on a port."""

import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.applications import Starlette

from omnisdk.protocol.limits import MAX_INBOUND_FRAME_BYTES
from runtime.server.handshake import Http, Websocket
from runtime.server.redaction import redact
from runtime.server.settings import ServerSettings

PING_INTERVAL_S = 20.0
PING_TIMEOUT_S = 60.0  # generous: a client may be busy
SHUTDOWN_TIMEOUT_S = 5
Drain = Callable[[Callable[[], bool]], Awaitable[None]]


class BindError(OSError):
    """The address cannot be listened on; says why and what to do."""


def bind(host: str, port: int, settings: ServerSettings) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises BindError.

    Other than loopback addresses need a key, since who reaches the port may use the model.
    """
    if not settings.keys and not _is_loopback(host):
        raise BindError(f"{host} can be reached by others and no API key is set; set one, or listen on 127.0.0.1")
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as problem:
        raise BindError(
            f"cannot listen on {host} port {port} ({problem.strerror or problem}); choose another port, or 0 for any"
        ) from problem
    # Every socket accepted here has it too. asyncio sets it only where it has bound the listener itself; without it an
    # event waits until the client has acknowledged the one before, 40 ms where the client says nothing meanwhile.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """The address clients are given, as ws://127.0.0.1:8765."""
    host, port = listener.getsockname()[:2]
    return f"ws://[{host}]:{port}" if ":" in host else f"ws://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn with this protocol's settings. `run(sockets=[listener])` serves until `should_exit` or a signal.

    `drain` of the app's state, if it has one, is awaited before the listener
    is closed; it may ask whether to hurry, as a second Ctrl-C says.
    """

    def __init__(
        self, app: Starlette, on_ready: Callable[[], None] | None = None, *, log_level: str = "warning"
    ) -> None:
        self._on_ready = on_ready
        logging.getLogger("uvicorn.error").addFilter(redact)  # where handshakes are written
        self._drain: Drain | None = getattr(app.state, "drain", None)
        super().__init__(
            uvicorn.Config(
                app,
                http=Http,
                ws=Websocket,
                ws_max_size=2 * MAX_INBOUND_FRAME_BYTES,  # what is over the limit is told so, and only then cut off
                ws_ping_interval=PING_INTERVAL_S,
                ws_ping_timeout=PING_TIMEOUT_S,
                ws_per_message_deflate=False,  # base64 of audio and PNG does not shrink
                timeout_graceful_shutdown=SHUTDOWN_TIMEOUT_S,
                log_level=log_level,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._on_ready is not None:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._drain is not None:
            await self._drain(lambda: self.force_exit)
        await super().shutdown(sockets)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
