"""Opening the websocket of a session."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urljoin, urlsplit, urlunsplit

import msgspec
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.http11 import Response as HttpResponse

from omnisdk.errors import ConnectFailed
from omnisdk.protocol import settings as wire_settings
from omnisdk.protocol.limits import MAX_INBOUND_FRAME_BYTES

SUBPROTOCOLS = {"msgpack": wire_settings.OMNI_MSGPACK, "json": wire_settings.OMNI_VERSION}
REALTIME_PATH = "/v1/realtime"
CONNECT_TIMEOUT_S = 20.0
Wire = Literal["msgpack", "json"]


def realtime_url(url: str) -> str:
    """The websocket address of a server: http(s) becomes ws(s), and a bare host gets the realtime path.

    Raises ConnectFailed.
    """
    try:
        parts = urlsplit(url if "://" in url else f"ws://{url}")
        good = bool(parts.hostname) and parts.port != 0
    except (TypeError, ValueError):  # no text, or a port that is none
        good = False
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme) if good else ""
    if scheme not in ("ws", "wss"):
        raise ConnectFailed(f"{url!r} is no server address; give one like ws://127.0.0.1:8765")
    path = parts.path if parts.path not in ("", "/") else REALTIME_PATH
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


def asset_url(session_url: str, url: str) -> str:
    """Where something of the server's can be fetched, which it named by `url`."""
    parts = urlsplit(session_url)
    scheme = "https" if parts.scheme == "wss" else "http"
    return urljoin(urlunsplit((scheme, parts.netloc, "", "", "")), url)


async def connected(url: str, api_key: str | None, form: Wire) -> ClientConnection:
    """Speaks JSON with a server that does not know MessagePack."""
    offered = [websockets.Subprotocol(SUBPROTOCOLS[name]) for name in dict.fromkeys((form, "json"))]
    loopback = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    options: dict[str, Any] = {"proxy": None} if loopback else {}
    try:
        socket = await connect(
            url,
            subprotocols=offered,
            additional_headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            compression=None,  # audio and pictures do not get smaller
            max_size=MAX_INBOUND_FRAME_BYTES,
            ping_interval=20,
            ping_timeout=60,
            open_timeout=CONNECT_TIMEOUT_S,
            **options,
        )
    except websockets.InvalidStatus as refused:
        raise ConnectFailed(_refusal(url, refused.response)) from None
    except (OSError, TimeoutError, websockets.InvalidURI, websockets.InvalidHandshake) as error:
        raise ConnectFailed(
            f"no server at {url} ({error}); start one with `omni serve`, or check the address"
        ) from None
    if socket.subprotocol not in offered:
        await socket.close()
        raise ConnectFailed(f"the server at {url} does not speak {offered[-1]}; give the address of an omni server")
    return socket


def _refusal(url: str, answer: HttpResponse) -> str:
    """What the server said to the handshake, and what to do about it."""
    advice = {401: "give the right api_key=...", 503: "try again later"}.get(answer.status_code, "check the address")
    body = bytes(answer.body or b"")
    try:
        said = str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        said = " ".join(body.decode("utf-8", "replace").split())[:200]
    return f"the server at {url} refused the session (HTTP {answer.status_code}{': ' + said if said else ''}); {advice}"
