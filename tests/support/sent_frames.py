"""Every frame a server sends over its websockets, as it leaves it."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class SentFrames:
    """texts: frames in the order they were sent, whatever the socket."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def watch(self, app: Starlette) -> None:
        """To be called before the app is served."""
        app.add_middleware(_Watched, keep=lambda text: self.texts.append(text))

    def check(self, *more_types: str) -> list[str]:
        """The types of all frames since the last check. Each is an event of openai-python's, to the letter, or of
        more_types. Raises pydantic's ValidationError.
        """
        sent, self.texts = self.texts, []
        told = [json.loads(text) for text in sent]
        for event in told:
            if event["type"] not in more_types:
                _server_event().validate_python(event, strict=True)
        return [event["type"] for event in told]


class _Watched:
    def __init__(self, app: ASGIApp, keep: Callable[[str], None]) -> None:
        self._app, self._keep = app, keep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def kept(message: Message) -> None:
            if message["type"] == "websocket.send":
                self._keep(message["text"])
            await send(message)

        await self._app(scope, receive, kept if scope["type"] == "websocket" else send)


@cache
def _server_event() -> Any:
    from openai.types.realtime import RealtimeServerEvent
    from pydantic import TypeAdapter

    return TypeAdapter(RealtimeServerEvent)
